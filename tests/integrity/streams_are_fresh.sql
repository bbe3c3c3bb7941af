{#
    Warns of streams that were fed before but not lately: their last delivery is older than the
    `freshness` of their source allows. `dbt source freshness` asks the same on demand.
#}
{{ config(severity="warn") }}
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

select
    cursors.source,
    cursors.stream,
    cursors.updated_at as last_fed_at,
    limits.longest
from {{ target.database }}.meta.feeder_cursors as cursors
inner join (values {{ limits | join(", ") or "(null, null, null)" }})
    as limits (source, stream, longest)
    using (source, stream)
where cursors.updated_at < now() - limits.longest
