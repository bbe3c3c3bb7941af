{#
    Says what the checks found, each with its owner (the project's on-run-end hook, given dbt's own
    `results`).
#}
{% macro tell_findings(results) %}
    {% if execute and flags.WHICH in ["build", "test"] %}
        {% for result in results %}
            {% set found = lotus_lake.findings_of(result) %}
            {% for message in found %}
                {% do log(
                    lotus_lake.printable(
                        result.status | string | upper ~ " " ~ result.node.name.split(".")[0] ~ " ("
                        ~ result.node.config.meta.get("owner", "nobody") ~ "): " ~ message
                    ), info=true
                ) %}
            {% endfor %}
            {% if found and result.failures > found | length %}
                {% do log("  … and " ~ (result.failures - found | length) ~ " more: dbt show --select "
                    ~ result.node.name, info=true) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
