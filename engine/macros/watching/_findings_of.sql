{#
    What a test that warned or failed says of its first findings: dbt itself only knows how many rows a
    test has. Nothing of a test whose rows have no column `message`. The rows are asked for once more,
    which costs nothing while all is well.
#}
{% macro _findings_of(result) %}
    {% if result.status | string not in ["warn", "fail"] or result.node.resource_type | string != "test"
        or " as message" not in (result.node.compiled_code or "") %}
        {{ return([]) }}
    {% endif %}
    {% set found = run_query("select message from (\n" ~ result.node.compiled_code ~ "\n) order by 1 limit 10") %}
    {{ return(found.columns[0].values() | list) }}
{% endmacro %}
