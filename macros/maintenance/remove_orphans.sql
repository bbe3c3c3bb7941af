{#
    Deletes files below the lake's data path that its catalog does not know: what a killed run left,
    or what was written after the point that a catalog was restored to. Younger files are left alone,
    because a running build writes files before it commits them.

        dbt run-operation remove_orphans --args '{dry_run: true}'
        dbt run-operation remove_orphans --args '{days: 1}'
#}
{% macro remove_orphans(days=none, dry_run=false) %}
    {% set days = var("cleanup_delay_days") if days is none else days %}
    {% do lotus_lake._check_argument("days", days, "days") %}
    {% do lotus_lake._check_argument("dry_run", dry_run, "flag") %}
    {% do start_lakehouse() %}
    {% do lotus_lake._check_deletions(false) %}
    {% set branches = lotus_lake._live_branches() %}
    {% if branches %}
        {{ exceptions.raise_compiler_error(
            "Branch " ~ branches | join(", ") ~ " may use files that this catalog does not know. Nothing was"
            ~ " deleted. Drop the branch first."
        ) }}
    {% endif %}
    {% set found = run_query(
        "from ducklake_delete_orphaned_files('" ~ target.database ~ "', dry_run => " ~ dry_run
        ~ ", older_than => now() - to_days(" ~ days ~ "))"
    ) %}
    {% for path in found.columns[0].values() %}
        {% do log(lotus_lake.printable("  " ~ path), info=true) %}
    {% endfor %}
    {% do log(
        found | length ~ " files that the catalog does not know, older than " ~ days ~ " days"
        ~ (". Dry run, nothing is deleted." if dry_run else ", are deleted."), info=true
    ) %}
{% endmacro %}
