{#
    For tests of the bookkeeping: makes them run after every stream was fed. dbt knows no way to name
    all staging models, so a project names its own in a macro `duckdb__after_feeding`; without it these
    tests may run before the last stream is fed, and tell of it a run later.
#}
{% macro after_feeding() %}
    {% do adapter.dispatch("after_feeding", "lotus_lake")() %}
{% endmacro %}


{% macro default__after_feeding() %}
{% endmacro %}
