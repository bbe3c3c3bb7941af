{#
    The rows of each declared stream that landed in each day's folder, days without anything included,
    up to `days` days before the newest: series (source.stream), day, amount, and the stream's limits
    least and most, null where config.meta.watch of its source says {volume: false}.

    Reads only the ledger, `files`: of each landed file the newest version.
#}
{% macro landed_days(files, days) %}
    {% set limits = [] %}
    {% if execute %}
        {% for stream in lotus_lake._declared_streams() %}
            {% set own = stream.config.meta.get("watch", {}) %}
            {% set watched = own.get("volume", true) %}
            {% do limits.append(
                "('" ~ stream.source_name ~ "." ~ stream.name ~ "', "
                ~ (own.get("least", 0.6) if watched else "null") ~ ", "
                ~ (own.get("most", 3) if watched else "null") ~ ")"
            ) %}
        {% endfor %}
    {% endif %}

    with

    versions as (
        select
            source || '.' || stream as series,
            try_cast(regexp_replace(
                path, '.*/year=(\d+)/month=(\d+)/day=(\d+)/.*', '\1-\2-\3'
            ) as date) as day,
            max_by(row_count, cursor_version) as row_count
        from {{ files }}
        where status = 'loaded'
        group by source, stream, path
    ),

    landed as (
        select
            series,
            day,
            sum(row_count) as row_count
        from versions
        where day <= {{ lotus_lake.watch_until() }}
        group by series, day
    ),

    newest as (
        select max(landed.day) as day from landed
    ),

    streams as (
        select
            watched.*,
            greatest(min(landed.day), any_value(newest.day) - {{ days }}) as first_day,
            any_value(newest.day) as last_day
        from (values {{ limits | join(", ") or "(null, null, null)" }}) as watched (series, least, most)
        inner join landed on watched.series = landed.series
        cross join newest
        group by all
    ),

    calendar as (
        select
            * exclude (first_day, last_day),
            cast(unnest(generate_series(first_day, last_day, interval 1 day)) as date) as day
        from streams
    )

    select
        calendar.series,
        calendar.day,
        cast(coalesce(landed.row_count, 0) as double) as amount,
        cast(calendar.least as double) as least,
        cast(calendar.most as double) as most
    from calendar
    left join landed on calendar.series = landed.series and calendar.day = landed.day
{% endmacro %}
