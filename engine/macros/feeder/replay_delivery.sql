{#
    Feeds deliveries once more: their rows leave staging and they leave the ledger, so that the next
    `dbt build` feeds them as new. Refused for a file that no longer lies in the landing zone as it
    was fed, because its rows could not come back.

        dbt run-operation replay_delivery --args '{source: shopify, stream: orders, cursor_version: 7}'
#}
{% macro replay_delivery(source, stream, path=none, day=none, cursor_version=none, dry_run=false) %}
    {% do lotus_lake.start_run() %}
    {% do lotus_lake.operate("replay_delivery", {
        "source": source, "stream": stream, "path": path, "day": day, "cursor_version": cursor_version,
        "dry_run": dry_run,
    }) %}
{% endmacro %}
