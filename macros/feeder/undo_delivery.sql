{#
    Takes deliveries out of the lake and keeps them out: their rows leave staging, and the ledger
    says that they were undone, so that no run feeds these versions again (release_quarantine does).
    The next `dbt build` recomputes what they had touched.

        dbt run-operation undo_delivery --args '{source: shopify, stream: orders, day: 2025-01-15, dry_run: true}'
#}
{% macro undo_delivery(source, stream, path=none, day=none, cursor_version=none, dry_run=false) %}
    {% set deliveries = lotus_lake._find_deliveries(source, stream, path, day, cursor_version, ["loaded"]) %}
    {% do lotus_lake._print_deliveries(
        "Undo " ~ deliveries | length ~ " deliveries of " ~ source ~ "." ~ stream ~ ":", deliveries, dry_run
    ) %}
    {% if not dry_run %}
        {% do run_query("
            begin;
            " ~ lotus_lake._remove_deliveries_sql(source, stream) ~ "
            update " ~ target.database ~ ".meta.feeder_files
            set status = 'undone', reason = 'undone on ' || now()::varchar
            where (path, cursor_version) in (select (path, cursor_version) from deliveries)
                and source = '" ~ source ~ "' and stream = '" ~ stream ~ "';
            commit;
        ") %}
        {% do log("Done. `dbt build` now recomputes what these files had touched.", info=true) %}
    {% endif %}
{% endmacro %}
