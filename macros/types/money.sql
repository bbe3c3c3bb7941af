{#
    An exact amount as money in shop currency: rounded once, half away from zero, to cents.

    Nearly every amount fits 18 digits, where rounding is twenty times as fast as in 38; the others
    take the second way. What is too large even for money gives null instead of stopping the model.
#}
{% macro money(expression) -%}
    coalesce(
        cast(round(try_cast({{ expression }} as decimal(18, 8)), 2) as decimal(18, 2)),
        try_cast(round({{ expression }}, 2) as decimal(18, 2))
    )
{%- endmacro %}
