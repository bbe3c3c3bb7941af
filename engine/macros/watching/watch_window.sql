{#
    How many days before the newest the watching checks read: those that are judged, and the weeks
    before the first of them. DuckDB adds them up: dbt would do so while it parses, and fail before
    start_run can refuse by its name what is no number.
#}
{% macro watch_window() -%}
    (7 * {{ lotus_lake.setting("watch_weeks") }} + {{ lotus_lake.setting("watch_settle_days") }} + {{ lotus_lake.setting("watch_days") }})
{%- endmacro %}
