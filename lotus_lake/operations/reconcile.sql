-- What is wrong with a stream, and what its ledger says of files that are not in the lake: kind,
-- message. `landed` are the files that lie in the landing zone, `footers` what those of them that
-- were fed say themselves; {staging} is the stream's table.
with

ledger as (
    from {lake}.meta.feeder_files
    where source = $source and stream = $stream
),

staged as (
    select _source_file as path, _cursor_version as cursor_version, count(*) as row_count
    from {staging}
    where _source_file is not null
    group by all
    union all
    -- A registered file's rows carry no lineage of their own; DuckLake knows their file.
    select registered.path, registered.cursor_version, sum(files.row_count) as row_count
    from (
        select filename, count(*) as row_count
        from {staging} where _source_file is null group by all
    ) as files
    inner join ledger as registered
        on registered.feed_mode = 'register' and suffix(files.filename, '/' || registered.path)
    group by all
),

differences as (
    select
        landed.path || ' has landed but is not in the ledger: it waits for the next run' as message
    from landed
    anti join ledger on ledger.path = landed.path and ledger.etag = landed.etag

    union all

    select
        ledger.path || ' (version ' || ledger.cursor_version || '): the ledger says '
        || counted(ledger.row_count, 'row') || ', staging has ' || coalesce(staged.row_count, 0)
    from ledger
    left join staged using (path, cursor_version)
    where ledger.status = 'loaded' and ledger.row_count <> coalesce(staged.row_count, 0)

    union all

    select
        staged.path || ' (version ' || staged.cursor_version || '): staging has '
        || counted(staged.row_count, 'row') || ' of it, but the ledger does not say that it was fed'
    from staged
    anti join (from ledger where status = 'loaded') using (path, cursor_version)

    union all

    select 'staging has ' || counted(count(*), 'row') || ' that came from no file'
    from {staging}
    where
        _source_file is null
        and not exists (
            from ledger
            where feed_mode = 'register' and suffix(filename, '/' || ledger.path)
        )
    having count(*) > 0

    union all

    select path || ' is fed more than once in the same version'
    from ledger
    where status = 'loaded'
    group by path, etag
    having count(*) > 1

    union all

    select ledger.path || ' was registered, but it is gone from the landing zone or was replaced'
    from ledger
    anti join landed using (path, etag)
    where ledger.feed_mode = 'register' and ledger.status = 'loaded'

    union all

    select
        ledger.path || ': the file has '
        || coalesce(counted(footers.row_count, 'row'), 'an error: ' || footers.reason)
        || ', the ledger says ' || ledger.row_count
    from ledger
    inner join footers using (path, etag)
    where ledger.status = 'loaded' and footers.row_count is distinct from ledger.row_count

    union all

    select
        'the cursor says ' || counted(files_loaded, 'file') || ' and ' || counted(rows_loaded, 'row') || ', the ledger '
        || sums.files || ' and ' || sums.row_count
    from {lake}.meta.feeder_cursors as cursors,
        (
            select count(*) as files, coalesce(sum(row_count), 0) as row_count
            from ledger where status = 'loaded'
        ) as sums
    where
        cursors.source = $source and cursors.stream = $stream
        and (cursors.files_loaded <> sums.files or cursors.rows_loaded <> sums.row_count)
)

select 'difference' as kind, message from differences
union all
select status, path || ': ' || reason from ledger where status <> 'loaded'
order by all
