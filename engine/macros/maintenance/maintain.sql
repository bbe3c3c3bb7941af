{#
    The lake's upkeep, by lotus_lake/maintenance.py (docs/maintenance.md):

        dbt run-operation maintain --args '{dry_run: true}'
        dbt run-operation maintain

    Prunes run history, flushes, rewrites and merges files, expires snapshots and deletes files that
    nothing uses. `keep_landed` takes files that are not the lake's own off the list of files to
    delete and leaves them where they lie.
#}
{% macro maintain(dry_run=false, keep_landed=false) %}
    {% do lotus_lake.start_run() %}
    {% set arguments = lotus_lake._what_to_keep() %}
    {% do arguments.update({"dry_run": dry_run, "keep_landed": keep_landed}) %}
    {% do lotus_lake.operate("maintain", arguments) %}
    {% if not dry_run %}
        {% do run_query(
            "insert into " ~ target.database ~ ".meta.invocations by name select "
            ~ lotus_lake._invocation_columns("maintain")
            ~ ", (select max(snapshot_id) from __ducklake_metadata_" ~ target.database ~ ".ducklake_snapshot) as snapshot_id"
            ~ ", 'success' as status, 0 as error_count, 0 as warn_count, 0 as built_count, 0 as rows_affected"
        ) %}
    {% endif %}
{% endmacro %}


{% macro _what_to_keep() %}
    {{ return(lotus_lake.values_of([
        "history_days", "snapshot_days", "cleanup_delay_days", "maintain_max_files", "branch_hold_days"
    ])) }}
{% endmacro %}
