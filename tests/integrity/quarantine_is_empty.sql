{#
    Warns of files whose rows are not in the lake: quarantined, and no later version of the same
    path was fed. docs/operations.md says what to do about each reason.
#}
{{ after_feeding() }}

select
    quarantined.source,
    quarantined.stream,
    quarantined.path,
    quarantined.reason,
    quarantined.loaded_at as quarantined_at,
    quarantined.path || ': ' || quarantined.reason
    || '. See docs/operations.md, "A file is in quarantine"' as message
from {{ target.database }}.meta.feeder_files as quarantined
anti join {{ target.database }}.meta.feeder_files as repaired
    on
        repaired.source = quarantined.source
        and repaired.stream = quarantined.stream
        and repaired.path = quarantined.path
        and repaired.status = 'loaded'
        and repaired.cursor_version > quarantined.cursor_version
where quarantined.status = 'quarantined'
