{#
    Stops the run, with a line that names it, when a variable of the engine has a value that cannot be
    meant (lotus_lake/operations/variables.py). The feeder's variables are checked with each stream's
    declaration.
#}
{% macro check_variables() %}
    {% set values = {} %}
    {% for name in [
        "rebuild_on_code_change", "run_all_tests", "watch_score", "watch_weeks", "watch_least_weeks",
        "watch_days", "watch_settle_days", "watch_report_days", "watch_as_of",
    ] %}
        {% do values.update({name: lotus_lake.setting(name)}) %}
    {% endfor %}
    {% do lotus_lake.operate("check_variables", values) %}
{% endmacro %}
