-- What the catalog keeps, and what waits for clean-up.
select
    (select count(*) from __ducklake_metadata_lakehouse.ducklake_snapshot) as snapshots,
    (select min(snapshot_time)::timestamptz from __ducklake_metadata_lakehouse.ducklake_snapshot)
        as oldest_snapshot_at,
    (
        select coalesce(sum(file_size_bytes), 0)::bigint
        from (
            select file_size_bytes, end_snapshot
            from __ducklake_metadata_lakehouse.ducklake_data_file
            union all
            select file_size_bytes, end_snapshot
            from __ducklake_metadata_lakehouse.ducklake_delete_file
        )
        where end_snapshot is not null
    ) as superseded_bytes,
    (
        select count(*)
        from __ducklake_metadata_lakehouse.ducklake_files_scheduled_for_deletion
    ) as files_to_delete
