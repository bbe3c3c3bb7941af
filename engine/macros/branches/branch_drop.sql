{#
    Drops a branch, or all that are at least so many days old, with the files that they wrote. The
    lake's own files are not among them.

        dbt run-operation branch_drop --args '{name: new_discounts}'
        dbt run-operation branch_drop --args '{older_than: 14}'
#}
{% macro branch_drop(name=none, older_than=none) %}
    {% do lotus_lake.operate("branch_drop", {"name": name, "older_than": older_than}) %}
{% endmacro %}
