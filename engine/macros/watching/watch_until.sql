{#
    The last day that the watching checks look at: tomorrow, so that no row of a day far ahead hides
    the others (a shop's day may begin before UTC's), or the variable watch_as_of.
#}
{% macro watch_until() -%}
    {% if lotus_lake.setting("watch_as_of") %}cast('{{ lotus_lake.setting("watch_as_of") }}' as date){% else %}(current_date + 1){% endif %}
{%- endmacro %}
