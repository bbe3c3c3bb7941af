{#
    Proves that nothing is missing and nothing is twice: compares, for every stream, what lies in
    the landing zone, what the ledger says, what the files themselves say and what staging has.
    Names every difference and then fails. Changes nothing.

    Files that are gone from landing after they were fed are no difference (the lake owns its rows),
    except of registered ones; quarantined files are listed, since the ledger accounts for them.

        dbt run-operation reconcile
        dbt run-operation reconcile --args '{source: shopify, stream: orders, read_files: false}'

    `read_files: false` leaves out the rows that the files themselves report (one read a file).
#}
{% macro reconcile(source=none, stream=none, read_files=true) %}
    {% do lotus_lake._check_argument("read_files", read_files, "flag") %}
    {% do start_lakehouse() %}
    {% do check_landing() %}
    {% set differences = [] %}
    {% set wanted = [] %}
    {% for node in declared_streams()
        if source in (none, node.source_name) and stream in (none, node.name) %}
        {% do wanted.append(node) %}
    {% endfor %}
    {% if not wanted %}
        {{ lotus_lake._no_such_stream((source or "") ~ "." ~ (stream or "")) }}
    {% endif %}
    {% for node in wanted %}
        {% set label = node.source_name ~ "." ~ node.name %}
        {% set found = run_query(lotus_lake._reconcile_sql(node.source_name, node.name, read_files)) %}
        {% set bad = [] %}
        {% for row in found.rows %}
            {% if row["kind"] == "difference" %}
                {% do bad.append(row["message"]) %}
                {% do differences.append(row["message"]) %}
            {% endif %}
            {% do log(lotus_lake.printable("  " ~ label ~ "  " ~ row["kind"] ~ ": " ~ row["message"]), info=true) %}
        {% endfor %}
        {% do log(label ~ ": " ~ (bad | length ~ " differences" if bad else "clean"), info=true) %}
    {% endfor %}
    {% if differences %}
        {{ exceptions.raise_compiler_error(
            "reconcile found " ~ differences | length ~ " differences, the first: "
            ~ lotus_lake.printable(differences[0])
        ) }}
    {% endif %}
    {% do log("Landing, ledger, files and staging agree.", info=true) %}
{% endmacro %}


{% macro _reconcile_sql(source, stream, read_files) %}
    {% set staging = target.database ~ ".staging.stg_" ~ source ~ "__" ~ stream %}
    {% set is_there = adapter.get_relation(target.database, "staging", "stg_" ~ source ~ "__" ~ stream) %}
    with landed as (
        select file.path, file.etag, file.size_bytes
        from (select unnest(landing_files('{{ source }}/{{ stream }}/')) as file)
    ),
    ledger as (
        select * from {{ target.database }}.meta.feeder_files
        where source = '{{ source }}' and stream = '{{ stream }}'
    ),
    staged as (
        {% if is_there is none %}
        select null::varchar as path, null::bigint as cursor_version, 0::bigint as row_count where false
        {% else %}
        select _source_file as path, _cursor_version as cursor_version, count(*) as row_count
        from {{ staging }}
        where _source_file is not null
        group by all
        union all
        -- A registered file's rows carry no lineage of their own; DuckLake knows their file.
        select registered.path, registered.cursor_version, sum(files.row_count) as row_count
        from (
            select filename, count(*) as row_count
            from {{ staging }} where _source_file is null group by all
        ) as files
        inner join ledger as registered
            on registered.feed_mode = 'register' and suffix(files.filename, '/' || registered.path)
        group by all
        {% endif %}
    ),
    differences as (
        select landed.path || ' has landed but is not in the ledger: it waits for the next run' as message
        from landed
        anti join ledger on ledger.path = landed.path and ledger.etag = landed.etag
        union all
        select
            ledger.path || ' (version ' || ledger.cursor_version || '): the ledger says '
            || ledger.row_count || ' rows, staging has ' || coalesce(staged.row_count, 0)
        from ledger
        left join staged using (path, cursor_version)
        where ledger.status = 'loaded' and ledger.row_count <> coalesce(staged.row_count, 0)
        union all
        select
            staged.path || ' (version ' || staged.cursor_version || '): staging has ' || staged.row_count
            || ' rows of it, but the ledger does not say that it was fed'
        from staged
        anti join (from ledger where status = 'loaded') using (path, cursor_version)
        {% if is_there is not none %}
        union all
        select 'staging has ' || count(*) || ' rows that say of no file that they came from it'
        from {{ staging }}
        where
            _source_file is null
            and not exists (
                from ledger
                where feed_mode = 'register' and suffix(filename, '/' || ledger.path)
            )
        having count(*) > 0
        {% endif %}
        union all
        select path || ' is fed more than once in the same version' from ledger
        where status = 'loaded' group by path, etag having count(*) > 1
        union all
        select ledger.path || ' was registered, but it is gone from the landing zone or was replaced'
        from ledger
        anti join landed using (path, etag)
        where ledger.feed_mode = 'register' and ledger.status = 'loaded'
        {% if read_files %}
        union all
        select
            path || ': the file has ' || coalesce(said.row_count::varchar || ' rows', 'an error: ' || said.reason)
            || ', the ledger says ' || row_count
        from (
            select ledger.path, ledger.row_count, landed_rows(ledger.path, ledger.size_bytes) as said
            from ledger
            semi join landed using (path, etag)
            where ledger.status = 'loaded'
        )
        where said.row_count is distinct from row_count
        {% endif %}
        union all
        select
            'the cursor says ' || files_loaded || ' files and ' || rows_loaded || ' rows, the ledger '
            || sums.files || ' and ' || sums.row_count
        from {{ target.database }}.meta.feeder_cursors as cursors,
            (
                select count(*) as files, coalesce(sum(row_count), 0) as row_count
                from ledger where status = 'loaded'
            ) as sums
        where cursors.source = '{{ source }}' and cursors.stream = '{{ stream }}'
            and (cursors.files_loaded <> sums.files or cursors.rows_loaded <> sums.row_count)
    )
    select 'difference' as kind, message from differences
    union all
    select status, path || ': ' || reason from ledger where status <> 'loaded'
    order by all
{% endmacro %}
