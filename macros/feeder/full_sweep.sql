{#
    Lists the whole landing zone, says which files the lake has never seen, and makes the next
    `dbt build` list everything too, so that it feeds them. Sweeps also happen by themselves, every
    `feed_sweep_hours`.

        dbt run-operation full_sweep --args '{dry_run: true}'
#}
{% macro full_sweep(dry_run=false) %}
    {% do lotus_lake._check_argument("dry_run", dry_run, "flag") %}
    {% do start_lakehouse() %}
    {% do check_landing() %}
    {% set total = [] %}
    {% for stream in declared_streams() %}
        {% set new = run_query(
            "select file.path, file.size_bytes
            from (select unnest(landing_files('" ~ stream.source_name ~ "/" ~ stream.name ~ "/')) as file)
            where (file.path, file.etag) not in (
                select (path, etag) from " ~ target.database ~ ".meta.feeder_files
                where source = '" ~ stream.source_name ~ "' and stream = '" ~ stream.name ~ "'
            )
            order by 1"
        ) %}
        {% for row in new.rows %}
            {% do total.append(row[0]) %}
            {% do log(lotus_lake.printable("  not fed: " ~ row[0] ~ "  (" ~ row[1] ~ " bytes)"), info=true) %}
        {% endfor %}
    {% endfor %}
    {% do log(total | length ~ " landed files are not in the ledger."
        ~ (" Dry run, nothing is changed." if dry_run else " The next `dbt build` lists everything."), info=true) %}
    {% if not dry_run %}
        {% do run_query(
            "update " ~ target.database ~ ".meta.feeder_cursors set swept_at = null where swept_at is not null"
        ) %}
    {% endif %}
{% endmacro %}
