{#
    What every run needs before its first model: variables that can be meant, the bookkeeping tables,
    statistics that can be trusted, a cursor for each declared stream, the declarations where Python
    models find them, and a landing zone that can be read.
    What has to be refused before the catalog is attached is refused in lotus_lake/plugin.py.
#}
{% macro start_run() %}
    {% if execute and flags.WHICH in ["run", "build", "seed", "snapshot", "test"] %}
        {% do lotus_lake._operate("check_version", {"macros": "0.1.0"}) %}
        {# The feeder's variables are checked with each stream's declaration. #}
        {% set values = {} %}
        {% for name in [
            "rebuild_on_code_change", "run_all_tests", "watch_score", "watch_weeks", "watch_least_weeks",
            "watch_days", "watch_settle_days", "watch_report_days", "watch_as_of",
        ] %}
            {% do values.update({name: lotus_lake.setting(name)}) %}
        {% endfor %}
        {% do lotus_lake._operate("check_variables", values) %}
        {% do lotus_lake._operate("create_meta") %}
        {% do lotus_lake._operate("forget_unknown_bounds") %}
        {% do lotus_lake._declare_streams() %}
        {% do run_query(
            "create or replace table memory.main.model_cursors as from " ~ target.database ~ ".meta.model_cursors;
            create or replace table memory.main.passed_tests as from memory.main.model_cursors limit 0"
        ) %}
        {% if flags.WHICH in ["run", "build"] %}
            {% do lotus_lake._operate("check_landing") %}
        {% endif %}
    {% endif %}
{% endmacro %}
