{# A number with its noun, which agrees with it; lotus_lake/wording.py does the same. #}
{% macro counted_sql(number, noun) -%}
    format('{:,d} {}', {{ number }}, if({{ number }} = 1, '{{ noun }}', '{{ noun }}s'))
{%- endmacro %}
