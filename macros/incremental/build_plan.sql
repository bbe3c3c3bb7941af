{#
    How this model has to be built now, decided from what the catalog says about its inputs:

    - `full`:  there is no table yet, --full-refresh was asked for, the model's code or variables
               changed, an input was rebuilt, or an input changed that the model does not follow;
    - `delta`: inputs changed that the model follows with recompute();
    - `skip`:  nothing that it reads has changed.

    A position is the DuckLake snapshot of an input that the model has read. Positions are kept in
    meta.model_cursors, written in the transaction that writes the model. Snapshots are numbered in
    the order in which they were committed, so nothing is missed, which no timestamp can promise.
    With the position of a full-refresh stream stands whether files of it were waiting: the last of
    them can turn out to bring no row, and the newest generation is complete all the same.

    The plan is made once for each model and run and kept in the run's memory, because dbt renders a
    model and runs its materialization in separate contexts.
#}
{% macro build_plan(key=none, followed=[]) %}
    {% if not execute or flags.WHICH not in ["run", "build", "seed", "snapshot"]
          or model.resource_type == "unit_test" %}
        {{ return({"mode": "full", "reason": "rendered without building"}) }}
    {% endif %}

    {% do run_query(
        "create table if not exists memory.main.build_plans (model varchar, invocation varchar, plan varchar)"
    ) %}
    {% set mine = "where model = '" ~ this.identifier ~ "' and invocation = '" ~ invocation_id ~ "'" %}
    {% set known = run_query("select plan from memory.main.build_plans " ~ mine) %}
    {% if known | length > 0 %}
        {{ return(fromjson(known.columns[0].values()[0])) }}
    {% endif %}

    {# While the fingerprint is taken the model is rendered as for a full build. #}
    {% do run_query(
        "insert into memory.main.build_plans values ('" ~ this.identifier ~ "', '" ~ invocation_id
        ~ "', '{\"mode\": \"full\"}')"
    ) %}
    {% set plan = lotus_lake._decide_build(lotus_lake._fingerprint(), followed) %}
    {% do plan.update({"key": key}) %}
    {% do run_query(
        "update memory.main.build_plans set plan = '" ~ (tojson(plan) | replace("'", "''")) ~ "' " ~ mine
    ) %}
    {{ return(plan) }}
{% endmacro %}


{# What the model's code says, everything rendered: macros, variables, columns and their types. #}
{% macro _fingerprint() %}
    {% set types = {} %}
    {% for column in model.columns.values() %}
        {% do types.update({column.name: column.data_type}) %}
    {% endfor %}
    {% set code = model.checksum.checksum if model.resource_type == "seed" else render(model.raw_code) %}
    {{ return(local_md5(code ~ tojson(types, sort_keys=true))) }}
{% endmacro %}


{% macro _decide_build(fingerprint, followed) %}
    {% set catalog = "__ducklake_metadata_" ~ this.database %}
    {% set inputs = [] %}
    {% for unique_id in model.depends_on.nodes if unique_id in graph.nodes %}
        {% do inputs.append(graph.nodes[unique_id].alias) %}
    {% endfor %}

    {% set positions = {} %}
    {% for row in run_query(
        "select upstream, upstream_uuid, snapshot_id, fingerprint from " ~ this.database
        ~ ".meta.model_cursors where model = '" ~ this.identifier ~ "'"
    ).rows %}
        {% do positions.update({row["upstream"]: {
            "uuid": row["upstream_uuid"],
            "snapshot": row["snapshot_id"] | int,
            "fingerprint": row["fingerprint"],
        }}) %}
    {% endfor %}
    {% set oldest_position = positions.values() | map(attribute="snapshot") | min if positions else 0 %}

    {% set tables = run_query(
        "with changes as (
            select snapshot_id, unnest(string_split(changes_made, ',')) as change
            from " ~ catalog ~ ".ducklake_snapshot_changes
            where snapshot_id > " ~ oldest_position ~ "
        ),
        last_changes as (
            select split_part(change, ':', 2) as table_id, max(snapshot_id) as snapshot_id
            from changes
            where split_part(change, ':', 1) in (
                'inserted_into_table', 'deleted_from_table', 'inlined_insert', 'inlined_delete'
            )
            group by all
        ),
        snapshots as (
            select min(snapshot_id) as oldest, max(snapshot_id) as newest
            from " ~ catalog ~ ".ducklake_snapshot
        )
        select
            tables.table_name,
            tables.table_uuid::varchar as table_uuid,
            coalesce(last_changes.snapshot_id, 0) as last_change,
            if(cursors.backlog_files > 0, 'waiting', null) as state,
            snapshots.oldest,
            snapshots.newest
        from snapshots
        left join " ~ catalog ~ ".ducklake_table as tables
            on tables.end_snapshot is null
            and tables.table_name in ('" ~ (inputs + [this.identifier]) | join("', '") ~ "')
        left join last_changes on last_changes.table_id = tables.table_id::varchar
        left join " ~ this.database ~ ".meta.feeder_cursors as cursors
            on tables.table_name = 'stg_' || cursors.source || '__' || cursors.stream
            and (cursors.declaration ->> 'sync_mode') = 'overwrite'"
    ) %}

    {% set plan = {
        "mode": "skip",
        "reason": "nothing that it reads has changed",
        "snapshot": tables.rows[0]["newest"] | int,
        "uuids": {},
        "states": {},
        "positions": {},
        "fingerprint": fingerprint,
    } %}
    {% set there = [] %}
    {% set changed = [] %}
    {% set rebuild = [] %}
    {% if should_full_refresh() %}
        {% do rebuild.append("a full refresh was asked for") %}
    {% elif this.identifier not in positions %}
        {% do rebuild.append("it was not built before") %}
    {% elif positions[this.identifier].fingerprint != fingerprint and var("rebuild_on_code_change") %}
        {% do rebuild.append("its code or variables changed") %}
    {% endif %}
    {% for table in tables.rows if table["table_name"] is not none %}
        {% set name = table["table_name"] %}
        {% do there.append(name) %}
        {% if name != this.identifier %}
            {% set position = positions.get(name) %}
            {% do plan.uuids.update({name: table["table_uuid"]}) %}
            {% do plan.states.update({name: table["state"]}) %}
            {% if position is none or position.uuid != table["table_uuid"] %}
                {% do rebuild.append(name ~ " was rebuilt") %}
            {% else %}
                {% do plan.positions.update({name: position.snapshot}) %}
                {% if table["last_change"] | int > position.snapshot or table["state"] != position.fingerprint %}
                    {% do changed.append(name) %}
                    {% if position.snapshot < table["oldest"] | int %}
                        {% do rebuild.append("changes of " ~ name ~ " have expired from the catalog") %}
                    {% elif name not in followed %}
                        {% do rebuild.append(name ~ " changed") %}
                    {% endif %}
                {% endif %}
            {% endif %}
        {% endif %}
    {% endfor %}
    {% if this.identifier not in there %}
        {% do plan.update({"mode": "full", "reason": "there is no table yet"}) %}
    {% elif rebuild %}
        {% do plan.update({"mode": "full", "reason": rebuild[0]}) %}
    {% elif changed %}
        {% do plan.update({"mode": "delta", "reason": changed | join(", ") ~ " changed"}) %}
    {% endif %}
    {{ return(plan) }}
{% endmacro %}
