{#
    Lists the whole landing zone, says which files the lake has never seen, and makes the next
    `dbt build` list everything too, so that it feeds them. Sweeps also happen by themselves, every
    `feed_sweep_hours`.

        dbt run-operation full_sweep --args '{dry_run: true}'
#}
{% macro full_sweep(dry_run=false) %}
    {% do lotus_lake.start_run() %}
    {% do lotus_lake.operate("full_sweep", {"dry_run": dry_run}) %}
{% endmacro %}
