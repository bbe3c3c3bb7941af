{#
    How many days before the newest the watching checks read: those that are judged, and the weeks
    before the first of them.
#}
{% macro watch_window() -%}
    {{ 7 * var("watch_weeks") + var("watch_settle_days") + var("watch_days") }}
{%- endmacro %}
