{#
    No two rows agree in all these columns. Nulls are values like any other.
#}
{% test unique_combination(model, columns) %}
    select
        {{ columns | join(", ") }},
        count(*) as number_of_rows,
    from {{ model }}
    group by {{ columns | join(", ") }}
    having count(*) > 1
{% endtest %}
