{#
    The moment at which a day begins in the shop's time zone (var shop_timezone).
#}
{% macro shop_midnight(day) -%}
    timezone('{{ var("shop_timezone") }}', cast({{ day }} as timestamp))
{%- endmacro %}
