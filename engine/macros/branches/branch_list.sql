{#
    Lists the lake's branches, oldest first, and which of them hold back clean-up no longer.

        dbt run-operation branch_list
#}
{% macro branch_list() %}
    {% do lotus_lake.operate("branch_list", lotus_lake.values_of(["branch_hold_days"])) %}
{% endmacro %}
