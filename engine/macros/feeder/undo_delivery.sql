{#
    Takes deliveries out of the lake and keeps them out: their rows leave staging, and the ledger
    says that they were undone, so that no run feeds these versions again (release_quarantine does).
    The next `dbt build` recomputes what they had touched.

        dbt run-operation undo_delivery --args '{source: shopify, stream: orders, day: 2025-01-15, dry_run: true}'
#}
{% macro undo_delivery(source, stream, path=none, day=none, cursor_version=none, dry_run=false) %}
    {% do lotus_lake.start_run() %}
    {% do lotus_lake.operate("undo_delivery", {
        "source": source, "stream": stream, "path": path, "day": day, "cursor_version": cursor_version,
        "dry_run": dry_run,
    }) %}
{% endmacro %}
