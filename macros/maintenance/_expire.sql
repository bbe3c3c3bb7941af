{#
    The steps of maintain() that let go of the past: snapshots, and the files that only they used.
#}

{#
    When the oldest transaction began that is still open in the catalog's database, less an hour for
    clocks that differ; none if there is none. A commit is checked against the snapshots after its
    beginning, so without them it would go through unchecked. SQLite itself refuses such a commit.
#}
{% macro _oldest_transaction() %}
    {% set catalog = "__ducklake_metadata_" ~ target.database %}
    {% set kind = run_query("select catalog_type from ducklake_settings('" ~ target.database ~ "')") %}
    {% if kind.columns[0].values()[0] != "postgres" %}
        {{ return(none) }}
    {% endif %}
    {{ return(run_query(
        "select began::varchar from postgres_query('" ~ catalog ~ "', $$
            select pg_catalog.min(xact_start) - interval '1 hour' as began from pg_catalog.pg_stat_activity
            where datname = pg_catalog.current_database() and pid <> pg_catalog.pg_backend_pid()
        $$)"
    ).columns[0].values()[0]) }}
{% endmacro %}


{# Expires a run of oldest snapshots, without gaps: numbers decide, because clocks are set back. #}
{% macro _expire(dry_run) %}
    {% set started = modules.datetime.datetime.now() %}
    {% set catalog = "__ducklake_metadata_" ~ target.database %}
    {% set keep_since = "now() - to_days(" ~ var("snapshot_days") ~ ")" %}
    {# First the newest that may go, then who is there: whoever comes later begins after it. #}
    {% set newest = run_query("select max(snapshot_id) from " ~ catalog ~ ".ducklake_snapshot").columns[0].values()[0] %}
    {% set oldest_transaction = lotus_lake._oldest_transaction() %}
    {% if oldest_transaction %}
        {% set keep_since = "least(" ~ keep_since ~ ", '" ~ oldest_transaction ~ "'::timestamptz)" %}
    {% endif %}
    {% set old = run_query(
        "select coalesce(min(snapshot_id) filter (snapshot_time::timestamptz >= " ~ keep_since ~ "), " ~ newest ~ ")
        from " ~ catalog ~ ".ducklake_snapshot where snapshot_id <= " ~ newest
    ).columns[0].values()[0] | int %}
    {% set before = lotus_lake._stored_files() %}
    {% set expired = run_query(
        "select count(*) from " ~ catalog ~ ".ducklake_snapshot where snapshot_id < " ~ old
    ).columns[0].values()[0] | int %}
    {% if expired and not dry_run %}
        {% do run_query(
            "set variable expired = (
                select list(snapshot_id) from " ~ catalog ~ ".ducklake_snapshot where snapshot_id < " ~ old ~ "
            );
            call ducklake_expire_snapshots('" ~ target.database ~ "', versions => getvariable('expired'))"
        ) %}
    {% endif %}
    {% set after = lotus_lake._stored_files() %}
    {% set what = expired ~ " snapshots" %}
    {% if oldest_transaction %}
        {% set what = what ~ "; none since " ~ oldest_transaction[:16] ~ ", for an open transaction" %}
    {% endif %}
    {{ return({
        "step": "expire", "what": what, "seconds": lotus_lake._seconds(started),
        "files": [before.files, after.files], "bytes": [before.bytes, after.bytes],
    }) }}
{% endmacro %}


{# Files and bytes that any snapshot uses, and the snapshots. #}
{% macro _stored_files() %}
    {% set catalog = "__ducklake_metadata_" ~ target.database %}
    {% set found = run_query(
        "select count(*) as files, coalesce(sum(file_size_bytes), 0)::bigint as bytes, any_value(snapshots.number) as snapshots
        from (select count(*) as number from " ~ catalog ~ ".ducklake_snapshot) as snapshots
        left join (
            select file_size_bytes from " ~ catalog ~ ".ducklake_data_file
            union all
            select file_size_bytes from " ~ catalog ~ ".ducklake_delete_file
        ) on true"
    ).rows[0] %}
    {{ return({
        "files": found["files"] | int, "bytes": found["bytes"] | int,
        "snapshots": found["snapshots"] | int,
    }) }}
{% endmacro %}


{% macro _clean_up(dry_run) %}
    {% set started = modules.datetime.datetime.now() %}
    {% set waiting = "select count(*) from __ducklake_metadata_" ~ target.database ~ ".ducklake_files_scheduled_for_deletion" %}
    {% set before = run_query(waiting).columns[0].values()[0] | int %}
    {% set deleted = run_query(
        "select count(*) from ducklake_cleanup_old_files('" ~ target.database ~ "', dry_run => " ~ dry_run
        ~ ", older_than => now() - to_days(" ~ var("cleanup_delay_days") ~ "))"
    ).columns[0].values()[0] | int %}
    {% set after = run_query(waiting).columns[0].values()[0] | int %}
    {{ return({
        "step": "clean up", "what": deleted ~ " files that nothing uses", "seconds": lotus_lake._seconds(started),
        "files": [before, after],
    }) }}
{% endmacro %}
