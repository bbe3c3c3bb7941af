{#
    Warns, for watch_report_days, of what a file brought that its stream did not have: columns and
    fields that were added, numbers that were widened. What a stream's first delivery brings is how
    the stream is, and no change; types that do not fit are in quarantine.
#}
{{ after_feeding() }}

select
    source,
    stream,
    column_name,
    change,
    type_before,
    type_after,
    path as first_file,
    seen_at as first_seen,
    source || '.' || stream || ': ' || column_name || case change
        when 'added' then ' is new, ' || left(type_after, 200)
        else concat(' was ', type_before, ' and is now ', type_after)
    end || '. First file ' || path || ', first seen ' || strftime(seen_at, '%Y-%m-%d %H:%M:%S %Z')
    || '. See docs/checks.md, "A schema has changed"' as message
from {{ target.database }}.meta.schema_changes
where
    seen_at > now() - interval {{ setting("watch_report_days") }} day
    -- in lakes from before, types that were refused are there too
    and change <> 'refused'
