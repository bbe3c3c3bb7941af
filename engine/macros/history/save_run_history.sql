{#
    Records this run in meta.invocations and its nodes in meta.node_results, in one transaction (the
    project's on-run-end hook, given dbt's own `results`). A run that changed nothing, in which nothing
    failed and every node ended as it did before is not recorded, so that it writes no snapshot. What the
    scheduler builds always is: it compares the lake and the code with the last record (LAKE_CODE_DIGEST
    is set by it).

    Gives the SQL instead of running it: dbt catches what goes wrong in a hook's SQL, and the results
    of the run itself are written all the same. The transaction runs on a connection of its own, which
    can begin again when another run was faster.
#}
{% macro save_run_history(results) %}
    {% if execute and flags.WHICH in ["run", "build", "seed", "snapshot", "test"] %}
        {% set nodes = [] %}
        {# Exposures and saved queries are in the results of a build, but nothing ran. #}
        {% for result in results
            if result.node.resource_type | string not in ["exposure", "saved_query"] %}
            {% set found = lotus_lake._findings_of(result) %}
            {% set more = " (and " ~ (result.failures - 1) ~ " more)" if (result.failures or 0) > 1 else "" %}
            {% set message = found[0] ~ more if found else result.message or "" %}
            {% do nodes.append({
                "node": result.node.unique_id,
                "resource_type": result.node.resource_type | string,
                "status": result.status | string,
                "execution_seconds": result.execution_time,
                "failures": result.failures,
                "message": message | string | truncate(500, True, "…", 0),
                "relation": (result.node.schema or "") ~ "." ~ (result.node.alias or ""),
            }) %}
        {% endfor %}
        {{ lotus_lake._save_run_history_sql(nodes) }}
    {% endif %}
{% endmacro %}


{% macro _save_run_history_sql(nodes) %}
    {% set catalog = "__ducklake_metadata_" ~ target.database %}
    {% set failed = "('error', 'fail', 'runtime error', 'partial success')" %}
    {# Each snapshot says in its commit message which run made it (lotus_lake/races.py). #}
    {% set own_snapshots = "(select snapshot_id from " ~ catalog ~ ".ducklake_snapshot_changes
        where contains(commit_extra_info, '" ~ invocation_id ~ "'))" %}
    create or replace table memory.main.run_nodes as
    with nodes as (
        select unnest(from_json(
            '{{ tojson(nodes) | replace("'", "''") }}',
            '[{"node": "varchar", "resource_type": "varchar", "status": "varchar",
               "execution_seconds": "double", "failures": "bigint", "message": "varchar",
               "relation": "varchar"}]'
        ), max_depth := 2)
    ),
    written as (
        select schemas.schema_name || '.' || tables.table_name as relation, sum(files.record_count) as row_count
        from {{ catalog }}.ducklake_data_file as files
        inner join {{ catalog }}.ducklake_table as tables using (table_id)
        inner join {{ catalog }}.ducklake_schema as schemas using (schema_id)
        where files.begin_snapshot in {{ own_snapshots }}
        group by all
    )
    select
        nodes.* exclude (relation, message),
        {{ lotus_lake._without_secrets("nodes.message") }} as message,
        written.row_count as rows_affected
    from nodes left join written using (relation);

    -- What is last known of a node has to stay true: a test that passes again, or has begun to warn.
    -- The whole history is read for it, so only where the answer matters.
    set variable has_written = exists {{ own_snapshots }};
    set variable is_recorded = getvariable('has_written') or {{ env_var("LAKE_CODE_DIGEST", "") != "" }} or exists (
        from memory.main.run_nodes as nodes
        left join (
            select node, arg_max(status, finished_at) as status
            from {{ target.database }}.meta.node_results
            where status <> 'skipped' and not getvariable('has_written')
            group by node
        ) as before using (node)
        where nodes.status in {{ failed }} or nodes.status not in (
            'skipped', coalesce(before.status, 'pass'), coalesce(before.status, 'success')
        )
    );

    {% set transaction = lotus_lake._save_run_history_transaction(failed) %}
    set variable problem = if(
        getvariable('is_recorded'),
        commit_to_lake('{{ transaction | replace("'", "''") }}', 'run history'),
        null
    );
    drop table memory.main.run_nodes;
    select error(problem) from (select unnest([getvariable('problem')]) as problem) where problem is not null;
{% endmacro %}


{% macro _save_run_history_transaction(failed) %}
    insert into {{ target.database }}.meta.invocations by name
    select
        '{{ invocation_id }}' as invocation_id,
        nullif('{{ env_var("LAKE_TICK_ID", "") | replace("'", "''") }}', '') as tick_id,
        '{{ flags.WHICH }}' as command,
        '{{ target.name }}' as target,
        nullif('{{ env_var("LAKE_CODE_VERSION", "") | replace("'", "''") }}', '') as code_version,
        '{{ run_started_at }}'::timestamptz as started_at,
        now() as finished_at,
        nullif('{{ env_var("LAKE_CODE_DIGEST", "") }}', '') as code_digest,
        (select max(snapshot_id) from __ducklake_metadata_{{ target.database }}.ducklake_snapshot) as snapshot_id,
        case when error_count > 0 then 'error' when warn_count > 0 then 'warn' else 'success' end as status,
        *
    from (
        select
            count(*) filter (status in {{ failed }}) as error_count,
            count(*) filter (status = 'warn') as warn_count,
            count(rows_affected) as built_count,
            coalesce(sum(rows_affected), 0) as rows_affected
        from memory.main.run_nodes
    );
    insert into {{ target.database }}.meta.node_results by name
    select '{{ invocation_id }}' as invocation_id, now() as finished_at, *
    from memory.main.run_nodes;
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
