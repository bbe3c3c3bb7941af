{#
    Records this run in meta.invocations, its nodes in meta.node_results, and the state of the project
    in meta.manifest_nodes when it is a new one, all in one transaction (the project's on-run-end hook,
    given dbt's own `results`). A run that changed nothing, in which nothing failed and every node ended
    as it did before is not recorded, so that it writes no snapshot. What the scheduler builds always
    is: it compares the lake and the code with the last record (LAKE_CODE_DIGEST is set by it).

    Gives the SQL instead of running it: dbt catches what goes wrong in a hook's SQL, and the results
    of the run itself are written all the same. The transaction runs on a connection of its own, which
    can begin again when another run was faster. All nodes travel as one text of JSON, which is one
    short statement to parse, however many they are.
#}
{% macro save_run_history(results) %}
    {% if execute and flags.WHICH in ["run", "build", "seed", "snapshot", "test"] %}
        {% set nodes = [] %}
        {# An exposure is in the results of a build, but nothing ran. #}
        {% for result in results if result.node.resource_type | string != "exposure" %}
            {% set relation = (result.node.schema ~ "." ~ result.node.alias)
                if result.node.resource_type in ["model", "seed", "snapshot"] else none %}
            {% set found = lotus_lake.findings_of(result) %}
            {% set more = " (and " ~ (result.failures - 1) ~ " more)" if (result.failures or 0) > 1 else "" %}
            {% set message = found[0] ~ more if found else result.message or "" %}
            {% do nodes.append({
                "node": result.node.unique_id,
                "resource_type": result.node.resource_type | string,
                "status": result.status | string,
                "execution_seconds": result.execution_time,
                "failures": result.failures,
                "message": message | string | truncate(500, True, "…", 0),
                "relation": relation,
                "is_feed": result.node.language == "python",
            }) %}
        {% endfor %}
        {{ lotus_lake._save_run_history_sql(nodes, lotus_lake._manifest()) }}
    {% endif %}
{% endmacro %}


{#
    The project as dbt has read it: an id that is the same as long as nothing in it changed, and its
    nodes when no run with it is recorded yet.
#}
{% macro _manifest() %}
    {% set nodes = [] %}
    {% for node in graph.nodes.values() %}
        {% do nodes.append({
            "node": node.unique_id,
            "resource_type": node.resource_type | string,
            "path": node.original_file_path,
            "relation": (node.schema ~ "." ~ node.alias)
                if node.resource_type in ["model", "seed", "snapshot"] else none,
            "materialized": node.config.materialized,
            "owner": node.config.get("group") or (node.config.get("meta") or {}).get("owner"),
            "checksum": node.checksum.checksum or local_md5(node.raw_code or ""),
            "inputs": tojson(node.depends_on.nodes | default([])),
        }) %}
    {% endfor %}
    {% set manifest_id = local_md5(tojson(nodes | sort(attribute="node"))) %}
    {% set known = run_query(
        "select 1 from " ~ target.database ~ ".meta.manifest_nodes where manifest_id = '" ~ manifest_id ~ "' limit 1"
    ) %}
    {{ return({"id": manifest_id, "nodes": [] if known | length > 0 else nodes}) }}
{% endmacro %}


{% macro _save_run_history_sql(nodes, manifest) %}
    {% set catalog = "__ducklake_metadata_" ~ target.database %}
    {% set failed = ["error", "fail", "runtime error", "partial success"] %}
    {% set good = ["success", "pass"] %}
    {% set has_failed = nodes | selectattr("status", "in", failed) | list | length > 0 %}
    set variable committed = (from ducklake_last_committed_snapshot('{{ target.database }}'));

    create or replace table memory.main.run_nodes as
    with nodes as (
        select unnest(from_json(
            '{{ tojson(nodes) | replace("'", "''") }}',
            '[{"node": "varchar", "resource_type": "varchar", "status": "varchar",
               "execution_seconds": "double", "failures": "bigint", "message": "varchar",
               "relation": "varchar", "is_feed": "boolean"}]'
        ), max_depth := 2)
    ),
    -- Snapshots are numbered by commit; this run's are among the last ones.
    written as (
        select schemas.schema_name || '.' || tables.table_name as relation, sum(files.record_count) as row_count
        from {{ catalog }}.ducklake_data_file as files
        inner join {{ catalog }}.ducklake_table as tables
            on files.table_id = tables.table_id and tables.end_snapshot is null
        inner join {{ catalog }}.ducklake_schema as schemas
            on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
        where
            files.begin_snapshot > getvariable('committed') - 2000
            and files.begin_snapshot in (
                select snapshot_id from {{ catalog }}.ducklake_snapshot
                where
                    snapshot_id > getvariable('committed') - 2000
                    and snapshot_time::timestamptz >= '{{ run_started_at }}'::timestamptz
            )
        group by all
    )
    select
        nodes.* exclude (relation, message, is_feed),
        {{ lotus_lake._without_secrets("nodes.message") }} as message,
        -- A feed always runs; it has built something when there was something new.
        nodes.relation is not null and nodes.status = 'success' and not starts_with(nodes.message, 'SKIP (')
            and (not nodes.is_feed or written.row_count > 0) as is_built,
        written.row_count as rows_affected
    from nodes left join written using (relation);

    -- What is last known of a node has to stay true: a test that passes again, or has begun to warn.
    -- The whole history is read for it, so only where the answer matters.
    set variable is_recorded = getvariable('committed') is not null or {{ has_failed }}
        or {{ env_var("LAKE_CODE_DIGEST", "") != "" }} or exists (
        select 1
        from (
            select node, arg_max(status, finished_at) as status
            from {{ target.database }}.meta.node_results
            where status <> 'skipped' and getvariable('committed') is null
            group by node
        ) as before
        right join memory.main.run_nodes using (node)
        where
            run_nodes.status <> 'skipped'
            and if(run_nodes.status in ('{{ good | join("', '") }}'), 'good', run_nodes.status)
            <> if(coalesce(before.status, 'pass') in ('{{ good | join("', '") }}'), 'good', before.status)
    );

    {% set transaction = lotus_lake._save_run_history_transaction(manifest, failed) %}
    set variable problem = if(
        getvariable('is_recorded'), commit_to_lake('{{ transaction | replace("'", "''") }}'), null
    );
    drop table memory.main.run_nodes;
    select error(problem) from (select unnest([getvariable('problem')]) as problem) where problem is not null;
{% endmacro %}


{% macro _save_run_history_transaction(manifest, failed) %}
    insert into {{ target.database }}.meta.invocations by name
    select
        {{ lotus_lake._invocation_columns(flags.WHICH) }},
        '{{ manifest.id }}' as manifest_id,
        nullif('{{ env_var("LAKE_CODE_DIGEST", "") }}', '') as code_digest,
        (select max(snapshot_id) from __ducklake_metadata_{{ target.database }}.ducklake_snapshot) as snapshot_id,
        case when error_count > 0 then 'error' when warn_count > 0 then 'warn' else 'success' end as status,
        *
    from (
        select
            count(*) filter (status in ('{{ failed | join("', '") }}')) as error_count,
            count(*) filter (status = 'warn') as warn_count,
            count(*) filter (is_built) as built_count,
            coalesce(sum(rows_affected), 0) as rows_affected
        from memory.main.run_nodes
    );
    insert into {{ target.database }}.meta.node_results by name
    select '{{ invocation_id }}' as invocation_id, now() as finished_at, * exclude (is_built)
    from memory.main.run_nodes;
    {% if manifest.nodes %}
    insert into {{ target.database }}.meta.manifest_nodes by name
    select '{{ manifest.id }}' as manifest_id, now() as saved_at, *
    from (
        select unnest(from_json(
            '{{ tojson(manifest.nodes) | replace("'", "''") }}',
            '[{"node": "varchar", "resource_type": "varchar", "path": "varchar", "relation": "varchar",
               "materialized": "varchar", "owner": "varchar", "checksum": "varchar", "inputs": "varchar"}]'
        ), max_depth := 2)
    );
    {% endif %}
{% endmacro %}


{% macro _invocation_columns(command) %}
    '{{ invocation_id }}' as invocation_id,
    nullif('{{ env_var("LAKE_TICK_ID", "") | replace("'", "''") }}', '') as tick_id,
    '{{ command }}' as command,
    '{{ target.name }}' as target,
    nullif('{{ env_var("LAKE_CODE_VERSION", "") | replace("'", "''") }}', '') as code_version,
    '{{ run_started_at }}'::timestamptz as started_at,
    now() as finished_at
{% endmacro %}


{# A driver's error can quote the connection string that it was given. #}
{% macro _without_secrets(column) %}
    regexp_replace(
        regexp_replace(
            {{ column }},
            '((?:password|passwd|pwd|secret|token|key_id|access_key)[a-z_]*[''"]?\s*[=:]\s*)(''(?:[^''\\]|\\.)*''|"[^"]*"|\S+)',
            '\1***', 'gi'
        ),
        '://[^/@\s]+@', '://***@', 'g'
    )
{% endmacro %}
