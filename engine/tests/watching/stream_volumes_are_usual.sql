{#
    Warns of days of which far fewer or far more rows landed of a stream than of the same weekday
    usually (volume_scores has the statistics, landed_days what is counted).
    fct_stream_volumes has the days before these.

    A stream's own limits, or none, are config.meta.watch of its source.
#}
{{ after_feeding() }}

with

days as (
    {{ landed_days(target.database ~ ".meta.feeder_files", watch_window()) }}
)

select
    series as stream,
    day,
    amount as row_count,
    usual,
    score,
    format(
        '{}: {} landed in the folder of {} {}, usually {:,d} ({:,d} to {:,d} on the {} of'
        || ' these days before). {}: see docs/checks.md, "A day has an unusual volume"',
        series, {{ counted_sql('cast(amount as bigint)', 'row') }}, dayname(day), day,
        cast(usual as bigint), cast(lowest as bigint), cast(highest as bigint), weeks,
        if(amount < usual, 'Did its sync end early', 'Did it sync something again')
    ) as message
from ({{ unusual_volumes('days') }})
