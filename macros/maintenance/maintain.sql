{#
    The lake's upkeep, in the order in which each step leaves less for the next, and nothing is
    deleted before everything else is done (docs/maintenance.md):

        dbt run-operation maintain --args '{dry_run: true}'
        dbt run-operation maintain

    1. prune    run history older than history_days;
    2. flush    the rows of schema meta that live in the catalog, into files;
    3. rewrite  files with deleted rows, which cannot be merged, of all tables but staging;
    4. merge    small files; both at most maintain_max_files in one run;
    5. expire   snapshots older than snapshot_days;
    6. clean up files that nothing has used for cleanup_delay_days.

    Every step commits by itself, so it may be killed at any moment; the next run goes on. Stops
    before the first step when a file that waits for deletion is not the lake's own. `keep_landed`
    takes such files off the list and leaves them where they lie.
#}
{% macro maintain(dry_run=false, keep_landed=false) %}
    {% do lotus_lake._check_argument("dry_run", dry_run, "flag") %}
    {% do lotus_lake._check_argument("keep_landed", keep_landed, "flag") %}
    {% do start_lakehouse() %}
    {% do create_history_tables() %}
    {% do lotus_lake._check_numbers([
        ("history_days", 1, 36500), ("snapshot_days", 0, 36500), ("cleanup_delay_days", 0, 36500),
        ("maintain_max_files", 1, 1000000000), ("branch_hold_days", 0, 36500),
    ]) %}
    {% do lotus_lake._check_deletions(keep_landed and not dry_run) %}
    {% set steps = [] %}
    {% do steps.append(lotus_lake._prune_history(dry_run)) %}
    {% do steps.append(lotus_lake._flush(dry_run)) %}
    {% do steps.append(lotus_lake._rewrite(dry_run)) %}
    {% do steps.append(lotus_lake._merge(dry_run)) %}
    {% set branches = lotus_lake._live_branches() %}
    {% if branches %}
        {% set held = "held: branch " ~ branches | join(", ") ~ " may need it" %}
        {% do steps.append({"step": "expire", "what": held}) %}
        {% do steps.append({"step": "clean up", "what": held}) %}
    {% else %}
        {% do steps.append(lotus_lake._expire(dry_run)) %}
        {% do lotus_lake._check_deletions(false) %}
        {% do steps.append(lotus_lake._clean_up(dry_run)) %}
    {% endif %}
    {% do lotus_lake._print_maintenance(steps, dry_run) %}
    {% if not dry_run %}
        {% do lotus_lake._save_maintenance() %}
    {% endif %}
{% endmacro %}


{#
    DuckLake deletes whatever its list names. A registered file whose table was dropped is on it too,
    and so would be another lake's files, in a copy of its catalog.
#}
{% macro _check_deletions(keep_landed) %}
    {% set catalog = "__ducklake_metadata_" ~ target.database %}
    {% set paths = run_query(
        "select settings.data_path, options.value from ducklake_settings('" ~ target.database ~ "') as settings, "
        ~ catalog ~ ".ducklake_metadata as options where options.key = 'data_path' and options.scope is null"
    ).rows[0] %}
    {% if paths[0] != paths[1] %}
        {{ exceptions.raise_compiler_error(
            "The lake is attached with the data path " ~ paths[0] ~ ", but its catalog says " ~ paths[1]
            ~ ". Nothing was changed. Set LAKE_DATA_URL to the catalog's own."
        ) }}
    {% endif %}
    {% set foreign = "from " ~ catalog ~ ".ducklake_files_scheduled_for_deletion where not path_is_relative::boolean"
        ~ " and not starts_with(path, '" ~ (paths[1] | replace("'", "''")) ~ "')" %}
    {% if keep_landed %}
        {% do run_query("delete " ~ foreign) %}
    {% endif %}
    {% set found = run_query("select path " ~ foreign ~ " order by path") %}
    {% if found | length > 0 %}
        {{ exceptions.raise_compiler_error(
            found | length ~ " files that are not the lake's own wait for deletion, the first: "
            ~ found.columns[0].values()[0] ~ ". Nothing was deleted. If they have to stay, which landed files"
            ~ " do, run: dbt run-operation maintain --args '{keep_landed: true}'"
        ) }}
    {% endif %}
{% endmacro %}


{% macro _prune_history(dry_run) %}
    {% set started = modules.datetime.datetime.now() %}
    {% set meta = target.database ~ ".meta." %}
    {% set old = " where finished_at < now() - to_days(" ~ var("history_days") ~ ")" %}
    {% set invocations = run_query("select count(*) from " ~ meta ~ "invocations" ~ old).columns[0].values()[0] %}
    {% if invocations and not dry_run %}
        {% do run_query(
            "begin; delete from " ~ meta ~ "node_results" ~ old ~ "; delete from " ~ meta ~ "invocations" ~ old
            ~ "; delete from " ~ meta ~ "manifest_nodes" ~ (old | replace("finished_at", "saved_at"))
            ~ " and manifest_id not in (select manifest_id from " ~ meta ~ "invocations where manifest_id is not null)"
            ~ "; commit;"
        ) %}
    {% endif %}
    {{ return({"step": "prune", "what": invocations ~ " recorded runs", "seconds": lotus_lake._seconds(started)}) }}
{% endmacro %}


{% macro _live_branches() %}
    {# A branch's own clean-up can reach nothing that another branch, or the lake, may need. #}
    {% if target.name == "pr" %}
        {{ return([]) }}
    {% endif %}
    {{ return(
        lotus_lake._branches() | selectattr("days", "lt", var("branch_hold_days")) | map(attribute="name") | list
    ) }}
{% endmacro %}


{% macro _save_maintenance() %}
    {% do run_query(
        "insert into " ~ target.database ~ ".meta.invocations by name select "
        ~ lotus_lake._invocation_columns("maintain")
        ~ ", 'success' as status, 0 as error_count, 0 as warn_count, 0 as built_count, 0 as rows_affected"
    ) %}
{% endmacro %}


{% macro _seconds(started) %}
    {{ return((modules.datetime.datetime.now() - started).total_seconds()) }}
{% endmacro %}


{% macro _print_maintenance(steps, dry_run) %}
    {% set line = "{:<9}{:<44}{:>7}{:>18}{:>22}{:>8}" %}
    {% do log(line.format("step", "would do" if dry_run else "done", "tables", "files", "MB", "seconds"), info=true) %}
    {% for step in steps %}
        {% set files, bytes = step.get("files"), step.get("bytes") %}
        {% do log(line.format(
            step.step,
            step.what,
            step.get("tables", "-"),
            "{:,} -> {:,}".format(*files) if files else "-",
            "{:,.1f} -> {:,.1f}".format(bytes[0] / 1000000, bytes[1] / 1000000) if bytes else "-",
            "{:.1f}".format(step.seconds) if "seconds" in step else "-",
        ), info=true) %}
    {% endfor %}
    {% do log("Dry run, nothing is changed." if dry_run else "Done.", info=true) %}
{% endmacro %}
