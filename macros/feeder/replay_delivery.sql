{#
    Feeds deliveries once more: their rows leave staging and they leave the ledger, so that the next
    `dbt build` feeds them as new. Refused for a file that no longer lies in the landing zone as it
    was fed, because its rows could not come back.

        dbt run-operation replay_delivery --args '{source: shopify, stream: orders, cursor_version: 7}'
#}
{% macro replay_delivery(source, stream, path=none, day=none, cursor_version=none, dry_run=false) %}
    {% set deliveries = lotus_lake._find_deliveries(source, stream, path, day, cursor_version, ["loaded"]) %}
    {% set gone = run_query(
        "select path from deliveries where (path, etag) not in (
            select (file.path, file.etag)
            from (select unnest(landing_files('" ~ source ~ "/" ~ stream ~ "/')) as file)
        )"
    ) %}
    {% if gone | length > 0 %}
        {{ exceptions.raise_compiler_error(
            "Cannot replay " ~ gone.columns[0].values() | join(", ") ~ ": not in the landing zone any more "
            ~ "as fed, so the rows could not come back. Nothing was changed."
        ) }}
    {% endif %}
    {% do lotus_lake._print_deliveries(
        "Replay " ~ deliveries | length ~ " deliveries of " ~ source ~ "." ~ stream ~ ":", deliveries, dry_run
    ) %}
    {% if not dry_run %}
        {% do run_query("
            begin;
            " ~ lotus_lake._remove_deliveries_sql(source, stream) ~ "
            delete from " ~ target.database ~ ".meta.feeder_files
            where (path, cursor_version) in (select (path, cursor_version) from deliveries)
                and source = '" ~ source ~ "' and stream = '" ~ stream ~ "';
            update " ~ target.database ~ ".meta.feeder_cursors set swept_at = null
            where source = '" ~ source ~ "' and stream = '" ~ stream ~ "';
            commit;
        ") %}
        {% do log("Done. The next `dbt build` feeds them again.", info=true) %}
    {% endif %}
{% endmacro %}
