{#
    Says what the checks found, each with its owner, and then in two lines what the run did (an on-run-end
    hook, given dbt's own `results`).
#}
{% macro tell_findings(results) %}
    {% if not execute or flags.WHICH not in ["run", "build", "test"] %}
        {{ return("") }}
    {% endif %}
    {% for result in results %}
        {% set found = lotus_lake._findings_of(result) %}
        {% for message in found %}
            {% do print(lotus_lake._printable(
                result.status | string | upper ~ " " ~ result.node.name.split(".")[0] ~ " ("
                ~ result.node.config.meta.get("owner", "nobody") ~ "): " ~ message
            )) %}
        {% endfor %}
        {% if found and result.failures > found | length %}
            {% do print("  … and " ~ (result.failures - found | length) ~ " more: dbt show --select " ~ result.node.name) %}
        {% endif %}
    {% endfor %}
    {% set tables, tests = [], [] %}
    {% for result in results %}
        {% set type = result.node.resource_type | string %}
        {% if type in ["test", "unit_test"] %}
            {% do tests.append(result) %}
        {% elif type in ["seed", "snapshot"] or result.node.config.materialized == "lake_table" %}
            {% do tables.append(result) %}
        {% endif %}
    {% endfor %}
    {% do print(lotus_lake._summary("table", tables, "written", "unchanged")) %}
    {% do print(lotus_lake._summary("test", tests, "run", "not run, because nothing that they read has changed since they passed")) %}
{% endmacro %}


{# How many nodes did what, how many had no need to, and how many could not. #}
{% macro _summary(noun, results, verb, idle) %}
    {% set counts = {"done": 0, "idle": 0, "skipped": 0, "failed": 0, "warned": 0} %}
    {% for result in results %}
        {% set status, message = result.status | string, result.adapter_response.get("_message", "") | string %}
        {% set kind = "failed" if status in ["error", "fail", "runtime error"]
            else "skipped" if status == "skipped"
            else "warned" if status == "warn"
            else "idle" if message == "not run" or message.startswith("SKIP") else "done" %}
        {% do counts.update({kind: counts[kind] + 1}) %}
    {% endfor %}
    {% set parts = ["{:,d} {}{}: {} {}".format(results | length, noun, "" if results | length == 1 else "s", counts.done, verb)] %}
    {% for kind, words in [("idle", idle), ("warned", "warned"), ("failed", "failed"), ("skipped", "skipped")] if counts[kind] %}
        {% do parts.append(counts[kind] ~ " " ~ words) %}
    {% endfor %}
    {{ return(parts | join(", ") ~ ".") }}
{% endmacro %}


{#
    A line that cannot control the terminal or forge another line: what does not print, in a file's
    name or a column's, is shown as its escape. lotus_lake/escaping.py does the same.
#}
{% macro _printable(text) %}
    {% set shown = [] %}
    {% for char in text | string %}
        {% do shown.append(char if char.isprintable() else char.encode("unicode_escape").decode()) %}
    {% endfor %}
    {{ return(shown | join) }}
{% endmacro %}
