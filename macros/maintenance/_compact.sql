{#
    The steps of maintain() that write fewer and larger files. None deletes anything: what they
    replace is put on DuckLake's list, and cleaned up cleanup_delay_days later.
#}

{# Files and bytes that readers of the newest snapshot open. #}
{% macro _live_files() %}
    {% set catalog = "__ducklake_metadata_" ~ target.database %}
    {% set found = run_query(
        "select count(*) as files, coalesce(sum(file_size_bytes), 0)::bigint as bytes from ("
        ~ "select file_size_bytes, end_snapshot from " ~ catalog ~ ".ducklake_data_file union all "
        ~ "select file_size_bytes, end_snapshot from " ~ catalog ~ ".ducklake_delete_file"
        ~ ") where end_snapshot is null"
    ) %}
    {{ return({"files": found.rows[0]["files"] | int, "bytes": found.rows[0]["bytes"] | int}) }}
{% endmacro %}


{% macro _compaction(step, what, tables, before, started) %}
    {% set after = lotus_lake._live_files() %}
    {{ return({
        "step": step, "what": what, "tables": tables, "seconds": lotus_lake._seconds(started),
        "files": [before.files, after.files], "bytes": [before.bytes, after.bytes],
    }) }}
{% endmacro %}


{% macro _flush(dry_run) %}
    {% set started = modules.datetime.datetime.now() %}
    {% set before = lotus_lake._live_files() %}
    {% if dry_run %}
        {{ return(lotus_lake._compaction("flush", "rows of meta out of the catalog", "-", before, started)) }}
    {% endif %}
    {% set flushed = run_query(
        "call ducklake_flush_inlined_data('" ~ target.database ~ "', schema_name => 'meta')"
    ) %}
    {% set rows = flushed.columns["rows_flushed"].values() | sum | int %}
    {{ return(lotus_lake._compaction("flush", rows ~ " rows of meta out of the catalog", flushed | length, before, started)) }}
{% endmacro %}


{#
    Tables with files to merge, most first. Files with deletions are not merged by DuckLake. A table
    with a file from elsewhere is left alone: that is a landed file, which registering has put there,
    or in a branch a file of the lake that it came from. What builds change in schema meta is rewritten
    instead: there DuckLake would lose a deletion that is committed meanwhile (docs/decisions/0010).
#}
{% macro _merge(dry_run) %}
    {% set started = modules.datetime.datetime.now() %}
    {% set before = lotus_lake._live_files() %}
    {% set catalog = "__ducklake_metadata_" ~ target.database %}
    {% set found = run_query(
        "select schemas.schema_name, tables.table_name,
            count(*) filter (deletes.data_file_id is null and files.file_size_bytes < 100000000) as small_files
        from " ~ catalog ~ ".ducklake_data_file as files
        inner join " ~ catalog ~ ".ducklake_table as tables
            on files.table_id = tables.table_id and tables.end_snapshot is null
        inner join " ~ catalog ~ ".ducklake_schema as schemas
            on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
        left join (from " ~ catalog ~ ".ducklake_delete_file where end_snapshot is null) as deletes
            on files.data_file_id = deletes.data_file_id
        where files.end_snapshot is null and not " ~ lotus_lake._is_changed_bookkeeping() ~ "
        group by all
        having small_files > 1 and bool_and(files.path_is_relative::boolean)
        order by small_files desc, schemas.schema_name, tables.table_name"
    ) %}
    {% set merged = namespace(files=0, tables=0) %}
    {% for table in found.rows if merged.files == 0 or merged.files + table["small_files"] <= var("maintain_max_files") %}
        {% set merged.files = merged.files + (table["small_files"] | int) %}
        {% set merged.tables = merged.tables + 1 %}
        {% if not dry_run %}
            {% do run_query(
                "call ducklake_merge_adjacent_files('" ~ target.database ~ "', '" ~ table["table_name"]
                ~ "', schema => '" ~ table["schema_name"] ~ "', max_compacted_files => 10)"
            ) %}
        {% endif %}
    {% endfor %}
    {% set waiting = (found | length) - merged.tables %}
    {% set what = "up to " ~ merged.files ~ " small files" ~ (", " ~ waiting ~ " tables next time" if waiting else "") %}
    {{ return(lotus_lake._compaction("merge", what, merged.tables, before, started)) }}
{% endmacro %}


{#
    Files with deleted rows are not merged, so those of which a fifth is deleted, and small ones, are
    written anew; of what builds change in schema meta also all small files. DuckLake's
    own rewrite_data_files is not used for that: in this version older snapshots of a rewritten table
    read wrong values, newer ones prune nested columns wrongly, and in schema meta a deletion that is
    committed meanwhile is lost (docs/decisions/0010). The rows of these files are taken out and put in
    again, in one transaction: two operations on which every build rests.

    Models that had read all changes of the table have read these, too: no row is another.
#}
{% macro _rewrite(dry_run) %}
    {% set started = modules.datetime.datetime.now() %}
    {% set before = lotus_lake._live_files() %}
    {% set catalog = "__ducklake_metadata_" ~ target.database %}
    {% set found = run_query(
        "select schemas.schema_name, tables.table_name, tables.table_id, count(*) as files,
            string_agg(parse_filename(files.path), ',') as names
        from " ~ catalog ~ ".ducklake_data_file as files
        inner join " ~ catalog ~ ".ducklake_table as tables
            on files.table_id = tables.table_id and tables.end_snapshot is null
        inner join " ~ catalog ~ ".ducklake_schema as schemas
            on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
        left join (from " ~ catalog ~ ".ducklake_delete_file where end_snapshot is null) as deletes
            on files.data_file_id = deletes.data_file_id
        where
            files.end_snapshot is null
            and (
                " ~ lotus_lake._is_changed_bookkeeping() ~ " and files.file_size_bytes < 100000000
                or schemas.schema_name <> 'staging' and (
                    deletes.delete_count >= files.record_count * 0.2
                    or deletes.delete_count > 0 and files.file_size_bytes < 10000000
                )
            )
        group by all
        having
            bool_and(files.path_is_relative::boolean)
            and (count(deletes.data_file_id) > 0 or count(*) > 1)
        order by files desc, schemas.schema_name, tables.table_name"
    ) %}
    {% set rewritten = namespace(files=0, tables=0) %}
    {% for table in found.rows if rewritten.files == 0 or rewritten.files + table["files"] <= var("maintain_max_files") %}
        {% set rewritten.files = rewritten.files + (table["files"] | int) %}
        {% set rewritten.tables = rewritten.tables + 1 %}
        {% if not dry_run %}
            {% do run_query(lotus_lake._rewrite_sql(table["schema_name"], table["table_name"], table["names"])) %}
            {% set rewrite = run_query("from ducklake_last_committed_snapshot('" ~ target.database ~ "')").columns[0].values()[0] %}
            {% do run_query(
                "update " ~ target.database ~ ".meta.model_cursors set snapshot_id = " ~ rewrite ~ "
                where upstream = '" ~ table["table_name"] ~ "' and snapshot_id >= coalesce((
                    select snapshot_id from (" ~ lotus_lake.last_changes("snapshot_id <> " ~ rewrite) ~ ")
                    where table_id = " ~ table["table_id"] ~ "
                ), 0)"
            ) %}
        {% endif %}
    {% endfor %}
    {% set what = rewritten.files ~ " files with deleted rows" %}
    {{ return(lotus_lake._compaction("rewrite", what, rewritten.tables, before, started)) }}
{% endmacro %}


{# Is it a table of schema meta whose rows builds change? The history of runs only grows. #}
{% macro _is_changed_bookkeeping() %}
    {{ return("(schemas.schema_name = 'meta' and tables.table_name not in ('" ~ lotus_lake._history_tables() | join("', '") ~ "'))") }}
{% endmacro %}


{% macro _rewrite_sql(schema, table, names) %}
    {% set relation = target.database ~ "." ~ schema ~ "." ~ table %}
    {% set those = "parse_filename(filename) in ('" ~ (names | replace(",", "', '")) ~ "')" %}
    {% set is_history = schema == "meta" and table in lotus_lake._history_tables() %}
    {% if not is_history %}
        begin;
        create or replace temp table kept_rows as select * from {{ relation }} where {{ those }};
        delete from {{ relation }} where {{ those }};
        insert into {{ relation }} select * from kept_rows;
        commit;
        drop table kept_rows;
    {% endif %}
    {% if schema == "meta" %}
        {# A flush also writes versions of rows that are gone already: files of which nothing is left,
           and that no deletion can end. With a threshold of 1 DuckLake touches only those. #}
        call ducklake_rewrite_data_files(
            '{{ target.database }}', '{{ table }}', schema => 'meta',
            delete_threshold => {{ 0.2 if is_history else 1 }}
        );
    {% endif %}
{% endmacro %}
