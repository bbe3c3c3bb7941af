{#
    An exact amount as money in shop currency: rounded once, half away from zero, to cents.
#}
{% macro money(expression) -%}
    cast(round({{ expression }}, 2) as decimal(18, 2))
{%- endmacro %}
