{#
    The day of a moment in the shop's time zone (var shop_timezone).
#}
{% macro shop_day(moment) -%}
    cast(timezone('{{ var("shop_timezone") }}', {{ moment }}) as date)
{%- endmacro %}
