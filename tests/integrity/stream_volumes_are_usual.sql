{#
    Warns of days of which far fewer or far more rows landed of a stream than of the same weekday
    usually (unusual_volumes has the statistics). Reads only the ledger: of each landed file the newest
    version, by the day of its folder. A day of which nothing landed counts as 0.

    A stream's own limits, or none, stand under config.meta.watch of its source.
#}
{{ after_feeding() }}

{% set streams = [] %}
{% if execute %}
    {% for stream in declared_streams() %}
        {% set own = stream.config.meta.get("watch", {}) %}
        {% if own.get("volume", true) %}
            {% do streams.append(
                "('" ~ stream.source_name ~ "', '" ~ stream.name ~ "', " ~ own.get("least", 0.6) ~ ", "
                ~ own.get("most", 3) ~ ")"
            ) %}
        {% endif %}
    {% endfor %}
{% endif %}

with

versions as (
    select
        source,
        stream,
        try_cast(regexp_replace(
            path, '.*/year=(\d+)/month=(\d+)/day=(\d+)/.*', '\1-\2-\3'
        ) as date) as day,
        max_by(row_count, cursor_version) as row_count
    from {{ target.database }}.meta.feeder_files
    where status = 'loaded'
    group by source, stream, path
),

landed as (
    select
        source,
        stream,
        day,
        sum(row_count) as row_count
    from versions
    where day <= {{ watch_until() }}
    group by source, stream, day
),

newest as (
    select max(day) as day from landed
),

streams as (
    select
        watched.*,
        greatest(min(landed.day), any_value(newest.day) - {{ watch_window() }}) as first_day,
        any_value(newest.day) as last_day
    from (values {{ streams | join(", ") or "(null, null, null, null)" }})
        as watched (source, stream, least, most)
    inner join landed using (source, stream)
    cross join newest
    group by all
),

calendar as (
    select
        * exclude (first_day, last_day),
        cast(unnest(generate_series(first_day, last_day, interval 1 day)) as date) as day
    from streams
),

days as (
    select
        calendar.source || '.' || calendar.stream as series,
        calendar.day,
        cast(coalesce(landed.row_count, 0) as double) as amount,
        calendar.least,
        calendar.most
    from calendar
    left join landed using (source, stream, day)
)

select
    series as stream,
    day,
    amount as row_count,
    usual,
    score,
    format(
        '{}: {:,d} rows landed in the folder of {} {}, usually {:,d} ({:,d} to {:,d} on the {} of'
        || ' these days before). {}: see docs/checks.md, "A day has an unusual volume"',
        series, cast(amount as bigint), dayname(day), day, cast(usual as bigint),
        cast(lowest as bigint), cast(highest as bigint), weeks,
        if(amount < usual, 'Did its sync end early', 'Did it sync something again')
    ) as message
from ({{ unusual_volumes('days') }})
