{#
    Makes a branch of the whole lake: a writable copy of its catalog over the same data files.

        dbt run-operation branch --args '{name: new_discounts}'

    Target `pr` builds on it, with LAKE_BRANCH naming it (docs/branches.md).
#}
{% macro branch(name) %}
    {% do lotus_lake.operate("branch", {"name": name}) %}
{% endmacro %}
