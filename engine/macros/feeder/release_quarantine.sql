{#
    Lets the next run try quarantined (or undone) files again, as they are. A repaired file needs
    no release: its new content is a new version.

        dbt run-operation release_quarantine --args '{source: shopify, stream: orders, day: 2025-01-15}'
#}
{% macro release_quarantine(source, stream, path=none, day=none, cursor_version=none, dry_run=false) %}
    {% do lotus_lake.start_run() %}
    {% do lotus_lake.operate("release_quarantine", {
        "source": source, "stream": stream, "path": path, "day": day, "cursor_version": cursor_version,
        "dry_run": dry_run,
    }) %}
{% endmacro %}
