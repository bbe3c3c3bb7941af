{#
    How many days before the newest the watching checks read: those that are judged, and the weeks
    before the first of them. DuckDB adds them up: dbt would do so while it parses, and fail before
    check_variables can refuse by its name what is no number.
#}
{% macro watch_window() -%}
    (7 * {{ var("watch_weeks") }} + {{ var("watch_settle_days") }} + {{ var("watch_days") }})
{%- endmacro %}
