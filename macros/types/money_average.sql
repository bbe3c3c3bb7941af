{#
    A sum of money divided by a count, as money; null when there is nothing to divide by.
    In whole numbers, because DuckDB divides decimals as doubles, and half a cent has to stay a tie.
#}
{% macro money_average(amount, number) -%}
    {%- set cents = "cast(100 * abs(" ~ amount ~ ") as hugeint)" -%}
    cast(
        sign({{ amount }}) * 0.01
        * cast((2 * {{ cents }} + {{ number }}) // (2 * nullif({{ number }}, 0)) as decimal(18, 0))
        as decimal(18, 2)
    )
{%- endmacro %}
