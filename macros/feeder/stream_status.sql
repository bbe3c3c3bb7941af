{#
    One line for each stream: what was fed, what waits and what is quarantined. `make status` shows
    the same with more detail.

        dbt run-operation stream_status
#}
{% macro stream_status() %}
    {% do start_lakehouse() %}
    {% set streams = run_query(
        "select
            cursors.source || '.' || cursors.stream as stream,
            cursors.files_loaded || ' files, ' || cursors.rows_loaded || ' rows, backlog '
            || cursors.backlog_files || ' files, quarantined '
            || (
                select count(*) from " ~ target.database ~ ".meta.quarantine as files
                where files.source = cursors.source and files.stream = cursors.stream
            )
            || ', last fed ' || coalesce(cursors.updated_at::varchar, 'never') as line
        from " ~ target.database ~ ".meta.feeder_cursors as cursors
        order by 1"
    ) %}
    {% for row in streams.rows %}
        {% do log(row["stream"] ~ ": " ~ row["line"], info=true) %}
    {% endfor %}
{% endmacro %}
