{#
    What every run needs before its first model: the bookkeeping tables, statistics that can be
    trusted, a cursor for each declared stream, the declarations where Python models find them, and a
    landing zone that can be read.
    What has to be refused before the catalog is attached is refused in lotus_lake/plugin.py.
#}
{% macro start_run() %}
    {% if execute and flags.WHICH in ["run", "build", "seed", "snapshot", "test"] %}
        {% do lotus_lake.operate("check_version", {"macros": "0.1.0"}) %}
        {% do lotus_lake.check_variables() %}
        {% do lotus_lake.operate("create_meta") %}
        {% do lotus_lake.operate("forget_unknown_bounds") %}
        {% do lotus_lake.declare_streams() %}
        {% do run_query(
            "create or replace table memory.main.model_cursors as from " ~ target.database ~ ".meta.model_cursors"
        ) %}
        {% if flags.WHICH in ["build", "test"] %}
            {% do lotus_lake.begin_tests() %}
        {% endif %}
        {% if flags.WHICH in ["run", "build"] %}
            {% do lotus_lake.check_landing() %}
        {% endif %}
    {% endif %}
{% endmacro %}
