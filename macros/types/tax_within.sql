{#
    The tax within an amount that includes it: amount × rate / (1 + rate), rounded to eight places;
    null when there is no rate, or the amount is too large for money.

    In whole numbers, because DuckDB divides decimals as doubles, and half a cent has to stay a tie.
    Parts of an amount that add up to a tie miss it by what was rounded of each: round their sum to
    six places before it becomes money.
#}
{% macro tax_within(amount, rate) -%}
    {%- set amount = "cast(try_cast(" ~ amount ~ " as decimal(24, 8)) * 100000000 as hugeint)" -%}
    {%- set rate = "cast(try_cast(" ~ rate ~ " as decimal(10, 8)) * 100000000 as hugeint)" -%}
    cast(
        (2 * {{ amount }} * {{ rate }} + 100000000 + {{ rate }}) // (2 * (100000000 + {{ rate }}))
        as decimal(26, 0)
    ) * 0.00000001
{%- endmacro %}
