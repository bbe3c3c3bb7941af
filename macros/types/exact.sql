{#
    An amount from a source as an exact decimal, so that sums do not depend on their order.
    Sources give doubles or text; text that is no number gives null. Eight decimals: a double up to
    ten million keeps its written value, and 0.005 stays a tie.
#}
{% macro exact(expression) -%}
    try_cast({{ expression }} as decimal(28, 8))
{%- endmacro %}
