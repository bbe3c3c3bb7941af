{#
    dbt's test for unique values, in a form that stays cheap on a table of millions: hashes are
    counted first, and only rows whose hash comes twice are compared as they are.
#}
{% macro default__test_unique(model, column_name) %}
    select {{ column_name }} as unique_field, count(*) as n_records
    from {{ model }}
    where
        {{ column_name }} is not null
        and hash({{ column_name }}) in (
            select hash({{ column_name }}) from {{ model }}
            where {{ column_name }} is not null
            group by all
            having count(*) > 1
        )
    group by {{ column_name }}
    having count(*) > 1
{% endmacro %}
