{#
    Says what the checks found (the project's on-run-end hook, given dbt's own `results`): dbt itself
    only says how many rows a test has. Every test whose rows have a column `message` is told, with
    its owner. The rows are asked for once more, which costs nothing while all is well.
#}
{% macro tell_findings(results) %}
    {% if execute and flags.WHICH in ["build", "test"] %}
        {% for result in results
               if result.status | string in ["warn", "fail"] and result.node.resource_type | string == "test"
               and " as message" in (result.node.compiled_code or "") %}
            {% set owner = result.node.config.meta.get("owner", "nobody") %}
            {% set found = run_query(
                "select message from (\n" ~ result.node.compiled_code ~ "\n) order by 1 limit 10"
            ) %}
            {% for row in found.rows %}
                {% do log(
                    result.status | string | upper ~ " " ~ result.node.name.split(".")[0] ~ " (" ~ owner ~ "): "
                    ~ row["message"], info=true
                ) %}
            {% endfor %}
            {% if result.failures > found | length %}
                {% do log("  … and " ~ (result.failures - found | length) ~ " more: dbt show --select "
                    ~ result.node.name, info=true) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
