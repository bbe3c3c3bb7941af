{#
    Deletes files below the lake's data path that its catalog does not know: what a killed run left,
    or what was written after the point that a catalog was restored to.

        dbt run-operation remove_orphans --args '{dry_run: true}'
        dbt run-operation remove_orphans --args '{days: 1}'
#}
{% macro remove_orphans(days=none, dry_run=false) %}
    {% set days = var("cleanup_delay_days") if days is none else days %}
    {% do lotus_lake._check_argument("days", days, "days") %}
    {% do lotus_lake._check_argument("dry_run", dry_run, "flag") %}
    {% do start_lakehouse() %}
    {% set branches = lotus_lake._live_branches() %}
    {% if branches %}
        {{ exceptions.raise_compiler_error(
            "Branch " ~ branches | join(", ") ~ " may use files that this catalog does not know. Nothing was"
            ~ " deleted. Drop the branch first."
        ) }}
    {% endif %}
    {% set problem = lotus_lake._maintenance("remove_orphans", {"days": days, "dry_run": dry_run}) %}
    {% if problem %}
        {{ exceptions.raise_compiler_error(problem) }}
    {% endif %}
{% endmacro %}
