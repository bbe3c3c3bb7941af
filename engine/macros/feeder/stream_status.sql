{#
    One line for each stream: what was fed, what waits and what is quarantined. `make status` shows
    the same with more detail.

        dbt run-operation stream_status
#}
{% macro stream_status() %}
    {% do lotus_lake.start_run() %}
    {% do lotus_lake.operate("stream_status") %}
{% endmacro %}
