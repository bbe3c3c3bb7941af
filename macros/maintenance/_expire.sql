{#
    The steps of maintain() that let go of the past: snapshots, and the files that only they used.
#}

{#
    Where each model stands, against what has changed in its inputs since: `last_change` is the newest
    snapshot that changed the input, leaving out snapshots that are known to have changed no row. The
    same reading of the catalog as build_plan()'s.
#}
{% macro _positions_sql(unchanged=[]) %}
    {% set catalog = "__ducklake_metadata_" ~ target.database %}
    {% set models = graph.nodes.values() | selectattr("resource_type", "in", ["model", "seed", "snapshot"])
        | map(attribute="alias") | list %}
    with changes as (
        select snapshot_id, unnest(string_split(changes_made, ',')) as change
        from {{ catalog }}.ducklake_snapshot_changes
    ),
    last_changes as (
        select split_part(change, ':', 2) as table_id, max(snapshot_id) as snapshot_id
        from changes
        where
            split_part(change, ':', 1) in (
                'inserted_into_table', 'deleted_from_table', 'inlined_insert', 'inlined_delete'
            )
            {% if unchanged %}and snapshot_id not in ({{ unchanged | join(", ") }}){% endif %}
        group by all
    )
    select
        positions.model,
        positions.upstream,
        positions.snapshot_id,
        coalesce(last_changes.snapshot_id, 0) as last_change
    from {{ target.database }}.meta.model_cursors as positions
    left join {{ catalog }}.ducklake_table as tables
        on positions.upstream_uuid = tables.table_uuid::varchar and tables.end_snapshot is null
    left join last_changes on tables.table_id::varchar = last_changes.table_id
    where
        -- A model of which only a table is left, or whose input was rebuilt, reads no changes.
        positions.model in ('{{ models | join("', '") }}')
        and (positions.upstream_uuid is null or tables.table_id is not null)
{% endmacro %}


{#
    Moves positions to the newest snapshot where the input has not changed since: a model that skips
    keeps its position, and would be built in full once that snapshot has expired.
#}
{% macro _advance_positions(unchanged=[]) %}
    {% set catalog = "__ducklake_metadata_" ~ target.database %}
    {% do run_query(
        "begin;
        create or replace temp table advanced as
        select model, upstream, newest.snapshot_id
        from (" ~ lotus_lake._positions_sql(unchanged) ~ ") as positions,
            (select max(snapshot_id) as snapshot_id from " ~ catalog ~ ".ducklake_snapshot) as newest
        where last_change <= positions.snapshot_id and positions.snapshot_id < newest.snapshot_id;
        update " ~ target.database ~ ".meta.model_cursors as positions
        set snapshot_id = advanced.snapshot_id
        from advanced
        where positions.model = advanced.model and positions.upstream = advanced.upstream;
        commit;"
    ) %}
{% endmacro %}


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
    {% if not dry_run and before.oldest < old %}
        {% do lotus_lake._advance_positions() %}
    {% endif %}
    {% set needed = run_query(
        "select model, upstream, snapshot_id from (" ~ lotus_lake._positions_sql() ~ ")
        where snapshot_id < " ~ old ~ " and last_change > snapshot_id
        order by snapshot_id limit 1"
    ) %}
    {% set keep_from = needed.rows[0]["snapshot_id"] | int if needed | length > 0 else old %}
    {% set expired = run_query(
        "select count(*) from " ~ catalog ~ ".ducklake_snapshot where snapshot_id < " ~ keep_from
    ).columns[0].values()[0] | int %}
    {% if before.oldest < keep_from and not dry_run %}
        {% do run_query(
            "set variable expired = (
                select list(snapshot_id) from " ~ catalog ~ ".ducklake_snapshot where snapshot_id < " ~ keep_from ~ "
            );
            call ducklake_expire_snapshots('" ~ target.database ~ "', versions => getvariable('expired'))"
        ) %}
    {% endif %}
    {% set after = lotus_lake._stored_files() %}
    {% set what = expired ~ " snapshots" %}
    {% if needed | length > 0 %}
        {% set what = what ~ "; " ~ needed.rows[0]["model"] ~ " has to read " ~ needed.rows[0]["upstream"]
            ~ " from " ~ keep_from %}
    {% elif oldest_transaction %}
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
        "select count(*) as files, coalesce(sum(file_size_bytes), 0)::bigint as bytes, any_value(snapshots.number) as snapshots,
            any_value(snapshots.oldest) as oldest
        from (select count(*) as number, min(snapshot_id) as oldest from " ~ catalog ~ ".ducklake_snapshot) as snapshots
        left join (
            select file_size_bytes from " ~ catalog ~ ".ducklake_data_file
            union all
            select file_size_bytes from " ~ catalog ~ ".ducklake_delete_file
        ) on true"
    ).rows[0] %}
    {{ return({
        "files": found["files"] | int, "bytes": found["bytes"] | int,
        "snapshots": found["snapshots"] | int, "oldest": found["oldest"] | int,
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
