{# What counted() gives, as SQL of an expression. #}
{% macro counted_sql(number, noun) -%}
    format('{:,d} {}', {{ number }}, if({{ number }} = 1, '{{ noun }}', '{{ noun }}s'))
{%- endmacro %}
