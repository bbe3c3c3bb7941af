{#
    Warns of files whose rows are not in the lake: quarantined, and neither repaired nor removed.
    docs/operations.md says what to do about each reason.
#}
{{ after_feeding() }}

select
    *,
    path || ': ' || reason || '. See docs/operations.md, "A file is in quarantine"' as message
from {{ target.database }}.meta.quarantine
