-- What a tick asks of the lake. First, the newest tick that built something.
select
    tick_id,
    arg_max(code_digest, snapshot_id),
    greatest(
        max(snapshot_id),
        -- Compaction rewrites tables, and changes nothing in them.
        (select max(snapshot_id) from lakehouse.meta.invocations where command = 'maintain')
    ),
    bool_or(status = 'error'),
    min(started_at)
from lakehouse.meta.invocations
where code_digest is not null
group by tick_id
order by max(snapshot_id) desc
limit 1;

-- The streams that the project still declares.
with fed as (
    select source, stream, max(loaded_at) as fed_at
    from lakehouse.meta.feeder_files
    where status = 'loaded'
    group by all
),

quarantined as (
    select source, stream, list((source || '.' || stream, path, etag, reason) order by path) as bad
    from lakehouse.meta.quarantine
    group by all
)

select
    source, stream, cursor_path, cursor_version, files_loaded, backlog_files, swept_at, declaration, fed_at,
    bad
from lakehouse.meta.feeder_cursors
left join fed using (source, stream)
left join quarantined using (source, stream)
where declaration is not null
order by all;

-- Those of some file versions that the feeder's ledger does not know (Ledger.known).
with known as (
    select path, etag
    from lakehouse.meta.feeder_files
    where status <> 'undone' or row_count is not null
)

select path
from (select unnest($paths::varchar[]) as path, unnest($etags::varchar[]) as etag)
anti join known using (path, etag);

-- Tables that were written after a snapshot, or that a model which reads them has not read since.
with
-- Positions of models that the project has no more stay.
nodes as (
    select distinct split_part(node, '.', -1) as name
    from lakehouse.meta.node_results
    inner join lakehouse.meta.invocations using (invocation_id)
    where code_digest = $code and resource_type in ('model', 'seed', 'snapshot')
),

last_writes as (
    select tables.table_name as name, max(changes.snapshot_id) as snapshot_id
    from lakehouse.meta.table_changes as changes
    inner join __ducklake_metadata_lakehouse.ducklake_table as tables
        on changes.table_id = tables.table_id and tables.end_snapshot is null
    where
        changes.snapshot_id > (select min(snapshot_id) from lakehouse.meta.model_cursors)
        and tables.table_name in (from nodes)
    group by all
)

select name
from last_writes
where snapshot_id > $snapshot or exists (
    select 1
    from lakehouse.meta.model_cursors as readers
    where
        readers.upstream = last_writes.name
        and readers.model <> readers.upstream
        and readers.model in (from nodes)
        and readers.snapshot_id < last_writes.snapshot_id
)
order by snapshot_id;
