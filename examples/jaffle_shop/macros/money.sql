{# An amount as decimal(18,2), rounded half away from zero. Sum first. #}
{% macro money(amount) -%}
    cast(round({{ amount }}, 2) as decimal(18, 2))
{%- endmacro %}
