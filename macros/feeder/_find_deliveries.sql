{#
    The rows of the ledger that an operation is about, in a temporary table `deliveries`.

    A delivery is named by its stream and by one or more of: `path` (relative to the landing zone),
    `day` (YYYY-MM-DD, of its folder) and `cursor_version` (one feed). Stops with an error that says
    what is wrong when nothing, or everything, would be meant.
#}
{% macro _find_deliveries(source, stream, path, day, cursor_version, statuses) %}
    {% do start_lakehouse() %}
    {% set known = [] %}
    {% for node in declared_streams() if (node.source_name, node.name) == (source, stream) %}
        {% do known.append(node) %}
    {% endfor %}
    {% if not known %}
        {{ lotus_lake._no_such_stream(source ~ "." ~ stream) }}
    {% endif %}
    {% if path is none and day is none and cursor_version is none %}
        {{ exceptions.raise_compiler_error(
            "Say which delivery of " ~ source ~ "." ~ stream ~ ": path, day (YYYY-MM-DD) or cursor_version."
        ) }}
    {% endif %}
    {% for name, value, kind in [("path", path, "text"), ("day", day, "day"), ("cursor_version", cursor_version, "number")]
        if value is not none %}
        {% do lotus_lake._check_argument(name, value, kind) %}
    {% endfor %}
    {% set conditions = [
        "source = '" ~ source ~ "'", "stream = '" ~ stream ~ "'", "status in ('" ~ statuses | join("', '") ~ "')"
    ] %}
    {% if path is not none %}
        {% do conditions.append("path = '" ~ (path | string | replace("'", "''")) ~ "'") %}
    {% endif %}
    {% if day is not none %}
        {% set parts = (day | string).split("-") %}
        {% do conditions.append(
            "path like '%/year=" ~ parts[0] ~ "/month=" ~ parts[1] ~ "/day=" ~ parts[2] ~ "/%'"
        ) %}
    {% endif %}
    {% if cursor_version is not none %}
        {% do conditions.append("cursor_version = " ~ cursor_version) %}
    {% endif %}
    {% do run_query(
        "create or replace temp table deliveries as
        select path, etag, cursor_version, row_count, size_bytes, feed_mode, reason, loaded_at
        from " ~ target.database ~ ".meta.feeder_files where " ~ conditions | join(" and ")
    ) %}
    {% set found = run_query("select * from deliveries order by cursor_version, path") %}
    {% if found | length == 0 %}
        {{ exceptions.raise_compiler_error(
            "The ledger has no " ~ statuses | join(" or ") ~ " file of " ~ source ~ "." ~ stream ~ " with "
            ~ conditions[3:] | join(" and ") ~ ". See meta.feeder_files."
        ) }}
    {% endif %}
    {{ return(found) }}
{% endmacro %}


{# Stops an operation whose stream is not declared. #}
{% macro _no_such_stream(label) %}
    {% set declared = [] %}
    {% for node in declared_streams() %}
        {% do declared.append(node.source_name ~ "." ~ node.name) %}
    {% endfor %}
    {{ exceptions.raise_compiler_error(
        "There is no stream '" ~ label ~ "' (source and stream); declared are: "
        ~ declared | sort | join(", ")
    ) }}
{% endmacro %}


{# Takes the rows of `deliveries` out of staging, and their figures out of the cursor. #}
{% macro _remove_deliveries_sql(source, stream) %}
    {% set staging = target.database ~ ".staging.stg_" ~ source ~ "__" ~ stream %}
    update {{ target.database }}.meta.feeder_cursors
    set
        cursor_version = cursor_version + 1,
        files_loaded = files_loaded - (select count(*) from deliveries),
        rows_loaded = rows_loaded - (select coalesce(sum(row_count), 0) from deliveries),
        bytes_loaded = bytes_loaded - (select coalesce(sum(size_bytes), 0) from deliveries),
        updated_at = now()
    where source = '{{ source }}' and stream = '{{ stream }}';
    delete from {{ staging }}
    where (_source_file, _cursor_version) in (
        select (path, cursor_version) from deliveries where feed_mode = 'copy'
    );
    {% set registered = run_query("select path from deliveries where feed_mode = 'register'") %}
    {% for row in registered.rows %}
    delete from {{ staging }} where suffix(filename, '/{{ row["path"] | replace("'", "''") }}');
    {% endfor %}
{% endmacro %}


{# Says what an operation does, file by file. #}
{% macro _print_deliveries(title, deliveries, dry_run) %}
    {% do lotus_lake._check_argument("dry_run", dry_run, "flag") %}
    {% do log(("Dry run, nothing is changed. " if dry_run else "") ~ title, info=true) %}
    {% for row in deliveries.rows %}
        {% do log(lotus_lake.printable("  " ~ row["path"] ~ "  (version " ~ row["cursor_version"] ~ ", "
            ~ (row["row_count"] ~ " rows" if row["row_count"] is not none else row["reason"]) ~ ")"), info=true) %}
    {% endfor %}
{% endmacro %}
