{#
    Stops the run, with a line that names it, when a variable that shapes the models or their checks has
    a value that cannot be meant (lotus_lake/settings.py). The feeder's variables are checked
    with each stream's declaration.
#}
{% macro check_variables() %}
    {% do lotus_lake.operate("check_variables", lotus_lake.values_of([
        "attribution_hours", "watch_score", "watch_weeks", "watch_least_weeks", "watch_days",
        "watch_settle_days", "watch_report_days", "rebuild_on_code_change", "shop_currencies",
        "shop_timezone", "calendar_start", "calendar_end", "watch_as_of",
    ])) %}
{% endmacro %}
