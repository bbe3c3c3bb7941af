-- What came into the streams behind a table, or left them, between two snapshots, {before} and {now}.
-- What went into quarantine brought no rows. Entries are unique, but the past of a table whose rows were
-- inlined may be read twice (decision 0010): EXCEPT takes care of that.
with recursive
inputs as (
    select $table as name
    union
    select upstream as name
    from lakehouse.meta.model_cursors
    inner join inputs on model_cursors.model = inputs.name
)

select
    path,
    coalesce(format('{{:,}}', row_count) || if(row_count = 1, ' row', ' rows'), 'undone') as brought,
    loaded_at
from (
    select path, if(status = 'undone', null, row_count) as row_count, loaded_at, cursor_version
    from lakehouse.meta.feeder_files at (version => {now})
    where
        'stg_' || source || '__' || stream in (from inputs)
        and status in ('loaded', 'undone') and row_count is not null
    except
    select path, if(status = 'undone', null, row_count) as row_count, loaded_at, cursor_version
    from lakehouse.meta.feeder_files at (version => {before})
    where row_count is not null
)
order by path
