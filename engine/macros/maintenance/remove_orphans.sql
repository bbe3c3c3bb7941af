{#
    Deletes files below the lake's data path that its catalog does not know: what a killed run left,
    or what was written after the point that a catalog was restored to.

        dbt run-operation remove_orphans --args '{dry_run: true}'
        dbt run-operation remove_orphans --args '{days: 1}'
#}
{% macro remove_orphans(days=none, dry_run=false) %}
    {% do lotus_lake.start_run() %}
    {% do lotus_lake.operate("remove_orphans", {
        "days": var("cleanup_delay_days") if days is none else days,
        "dry_run": dry_run,
        "branch_hold_days": var("branch_hold_days"),
    }) %}
{% endmacro %}
