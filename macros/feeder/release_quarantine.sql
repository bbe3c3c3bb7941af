{#
    Lets the next run try quarantined (or undone) files again, as they are. A repaired file needs
    no release: its new content is a new version.

        dbt run-operation release_quarantine --args '{source: shopify, stream: orders, day: 2025-01-15}'
#}
{% macro release_quarantine(source, stream, path=none, day=none, cursor_version=none, dry_run=false) %}
    {% set deliveries = lotus_lake._find_deliveries(source, stream, path, day, cursor_version, ["quarantined", "undone"]) %}
    {% do lotus_lake._print_deliveries(
        "Release " ~ deliveries | length ~ " files of " ~ source ~ "." ~ stream ~ ":", deliveries, dry_run
    ) %}
    {% if not dry_run %}
        {% do run_query("
            begin;
            delete from " ~ target.database ~ ".meta.feeder_files
            where (path, cursor_version) in (select (path, cursor_version) from deliveries)
                and source = '" ~ source ~ "' and stream = '" ~ stream ~ "' and status in ('quarantined', 'undone');
            update " ~ target.database ~ ".meta.feeder_cursors
            set swept_at = null, cursor_version = cursor_version + 1
            where source = '" ~ source ~ "' and stream = '" ~ stream ~ "';
            commit;
        ") %}
        {% do log("Done. The next `dbt build` tries them again.", info=true) %}
    {% endif %}
{% endmacro %}
