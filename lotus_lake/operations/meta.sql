-- The lake's own bookkeeping, schema meta, in lakes of any age. Its tables are flat, so small inserts are
-- inlined into the catalog and cost no file.

create table if not exists lakehouse.meta.feeder_cursors (
    source varchar not null,
    stream varchar not null,
    cursor_path varchar,
    cursor_version bigint not null,
    files_loaded bigint not null,
    rows_loaded bigint not null,
    bytes_loaded bigint not null,
    backlog_files bigint not null,
    backlog_bytes bigint not null,
    swept_at timestamptz,
    updated_at timestamptz,
    declaration varchar
);
alter table lakehouse.meta.feeder_cursors add column if not exists declaration varchar;
create table if not exists lakehouse.meta.feeder_files (
    source varchar not null,
    stream varchar not null,
    path varchar not null,
    etag varchar not null,
    size_bytes bigint not null,
    last_modified timestamptz,
    row_count bigint,
    status varchar not null,
    reason varchar,
    cursor_version bigint not null,
    generation_id bigint,
    feed_mode varchar,
    loaded_at timestamptz not null
);
create table if not exists lakehouse.meta.model_cursors (
    model varchar not null,
    upstream varchar not null,
    upstream_uuid varchar,
    snapshot_id bigint not null,
    fingerprint varchar,
    upstream_pending boolean,
    updated_at timestamptz not null
);
alter table lakehouse.meta.model_cursors add column if not exists upstream_pending boolean;
create table if not exists lakehouse.meta.schema_changes (
    source varchar not null,
    stream varchar not null,
    column_name varchar not null,
    change varchar not null,
    type_before varchar,
    type_after varchar not null,
    path varchar not null,
    cursor_version bigint not null,
    seen_at timestamptz not null
);

-- What runs leave behind: a row for each invocation, and one for each of its nodes.
create table if not exists lakehouse.meta.invocations (
    invocation_id varchar not null,
    tick_id varchar,
    command varchar not null,
    target varchar not null,
    code_version varchar,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    status varchar not null,
    error_count bigint not null,
    warn_count bigint not null,
    built_count bigint not null,
    rows_affected bigint not null,
    code_digest varchar,
    snapshot_id bigint
);
alter table lakehouse.meta.invocations add column if not exists code_digest varchar;
alter table lakehouse.meta.invocations add column if not exists snapshot_id bigint;
create table if not exists lakehouse.meta.node_results (
    invocation_id varchar not null,
    node varchar not null,
    resource_type varchar not null,
    status varchar not null,
    execution_seconds double not null,
    rows_affected bigint,
    failures bigint,
    message varchar,
    finished_at timestamptz not null
);

-- In lakes from before, undone was no status of its own.
update lakehouse.meta.feeder_files set status = 'undone'
where status = 'quarantined' and starts_with(reason, 'undone on ');
-- What is in quarantine: a repaired file is the same path, fed later with another ETag.
create view if not exists lakehouse.meta.quarantine as
select
    source,
    stream,
    path,
    arg_max(etag, (cursor_version, loaded_at)) as etag,
    arg_max(reason, (cursor_version, loaded_at)) as reason,
    max(loaded_at) as quarantined_at
from lakehouse.meta.feeder_files
group by source, stream, path
having arg_max(status, (cursor_version, loaded_at)) = 'quarantined';
-- Which snapshot changed rows of which table. The only place that reads what DuckLake writes of
-- its snapshots as text: ducklake_snapshots() gives it typed, but reads every snapshot, 0.4 s
-- where there are 15,000.
create view if not exists lakehouse.meta.table_changes as
select snapshot_id, cast(split_part(change, ':', 2) as bigint) as table_id
from (
    select snapshot_id, unnest(string_split(changes_made, ',')) as change
    from __ducklake_metadata_lakehouse.ducklake_snapshot_changes
)
where split_part(change, ':', 1) in (
    'inserted_into_table', 'deleted_from_table', 'inlined_insert', 'inlined_delete'
);
