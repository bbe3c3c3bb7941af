{#
    The lake's upkeep, by lotus_lake/maintenance.py (docs/maintenance.md):

        dbt run-operation maintain --args '{dry_run: true}'
        dbt run-operation maintain

    Prunes run history, flushes, rewrites and merges files, expires snapshots and deletes files that
    nothing uses. `keep_landed` takes files that are not the lake's own off the list of files to
    delete and leaves them where they lie.
#}
{% macro maintain(dry_run=false, keep_landed=false) %}
    {% do lotus_lake._check_argument("dry_run", dry_run, "flag") %}
    {% do lotus_lake._check_argument("keep_landed", keep_landed, "flag") %}
    {% do start_lakehouse() %}
    {% do lotus_lake._check_numbers([
        ("history_days", 1, 36500), ("snapshot_days", 0, 36500), ("cleanup_delay_days", 0, 36500),
        ("maintain_max_files", 1, 1000000000), ("branch_hold_days", 0, 36500),
    ]) %}
    {% set settings = lotus_lake._maintenance_settings() %}
    {% do settings.update({"dry_run": dry_run, "keep_landed": keep_landed}) %}
    {% set problem = lotus_lake._maintenance("maintain_lake", settings) %}
    {% if problem %}
        {{ exceptions.raise_compiler_error(problem) }}
    {% endif %}
    {% if not dry_run %}
        {% do run_query(
            "insert into " ~ target.database ~ ".meta.invocations by name select "
            ~ lotus_lake._invocation_columns("maintain")
            ~ ", (select max(snapshot_id) from __ducklake_metadata_" ~ target.database ~ ".ducklake_snapshot) as snapshot_id"
            ~ ", 'success' as status, 0 as error_count, 0 as warn_count, 0 as built_count, 0 as rows_affected"
        ) %}
    {% endif %}
{% endmacro %}


{# Prints what a function of lotus_lake/functions.py has done; gives what went wrong, or none. #}
{% macro _maintenance(function, settings) %}
    {% set done = run_query(
        "select unnest(" ~ function ~ "(settings), max_depth => 2) from (values ('"
        ~ tojson(settings) | replace("'", "''") ~ "')) as given (settings)"
    ).rows[0] %}
    {% for line in fromjson(done["lines"]) %}
        {% do log(lotus_lake.printable(line), info=true) %}
    {% endfor %}
    {{ return(done["problem"]) }}
{% endmacro %}


{% macro _maintenance_settings() %}
    {{ return({
        "history_days": var("history_days"),
        "snapshot_days": var("snapshot_days"),
        "cleanup_delay_days": var("cleanup_delay_days"),
        "maintain_max_files": var("maintain_max_files"),
        "branches": lotus_lake._live_branches(),
    }) }}
{% endmacro %}


{# The branches for which nothing may be deleted. #}
{% macro _live_branches() %}
    {# A branch's own clean-up can reach nothing that another branch, or the lake, may need. #}
    {% if target.name == "pr" %}
        {{ return([]) }}
    {% endif %}
    {{ return(
        lotus_lake._branches() | selectattr("days", "lt", var("branch_hold_days")) | map(attribute="name") | list
    ) }}
{% endmacro %}
