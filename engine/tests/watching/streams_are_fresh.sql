{#
    Warns of streams that were fed before but not lately: the ledger's last loaded file is older than
    the `freshness` of their source allows. `dbt source freshness` asks the same on demand.
#}
{{ after_feeding() }}

{% set limits = [] %}
{% if execute %}
    {% for stream in graph.sources.values()
           if stream.freshness and (stream.freshness.warn_after or {}).get('count') %}
        {% do limits.append(
            "('" ~ stream.source_name ~ "', '" ~ stream.name ~ "', interval '"
            ~ stream.freshness.warn_after.count ~ " " ~ stream.freshness.warn_after.period ~ "')"
        ) %}
    {% endfor %}
{% endif %}

with

fed as (
    select
        source,
        stream,
        max(loaded_at) as last_fed_at,
        max_by(path, loaded_at) as last_path
    from {{ target.database }}.meta.feeder_files
    where status = 'loaded'
    group by source, stream
)

select
    fed.*,
    limits.longest,
    fed.source || '.' || fed.stream || ': nothing was loaded for '
    || {{ counted_sql("date_diff('hour', fed.last_fed_at, now())", "hour") }} || ', since ' || fed.last_path
    || '; it may be ' || date_diff('hour', fed.last_fed_at, fed.last_fed_at + limits.longest)
    || '. See docs/operations.md, "Nothing new arrives"' as message
from fed
inner join (values {{ limits | join(", ") or "(null, null, null)" }})
    as limits (source, stream, longest)
    using (source, stream)
where fed.last_fed_at < now() - limits.longest
