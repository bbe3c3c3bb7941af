{#
    What there is to do for a node whose SQL is `sql`, decided by one statement over the catalog:

    - `create`: there is no table yet, --full-refresh was asked for, or the node's code, variables or
                columns changed;
    - `keys`:   all that changed are inputs that the node follows by a key: see follow();
    - `whole`:  something else that it reads changed, or may have: it was created again, or the snapshots
                since this node last read it have expired;
    - `skip`:   nothing that it reads has changed.

    A position is the DuckLake snapshot of an input that the node has read. Positions are kept in
    meta.model_cursors, written in the transaction that writes the node. Snapshots are numbered in the
    order in which they were committed, so nothing is missed, which no timestamp can promise. With the
    position of a full-refresh stream stands whether files of it were pending: the last of them can
    turn out to bring no row, and the newest generation is complete all the same.
#}
{% macro _build_plan(sql) %}
    {% set inputs = lotus_lake._tables_read(model) %}
    {% set followed = lotus_lake._followed_inputs(sql) %}
    {% set key = lotus_lake._key_columns(config.get("unique_key")) %}
    {% set code = lotus_lake._code_sql(sql, followed, config.get("unique_key")) %}
    {% set found = run_query(lotus_lake._inputs_sql(inputs, code)) %}
    {% set rows = found.rows %}

    {% set plan = {
        "mode": "skip",
        "reason": "nothing that it reads has changed",
        "snapshot": rows[0]["newest"] | int,
        "fingerprint": rows[0]["fingerprint"],
        "key": lotus_lake._key_value(key),
        "key_columns": key,
        "inputs": [],
        "found": found,
    } %}
    {% set changed, keys_sql, not_by_key = [], [], [] %}
    {% for input in rows if input["name"] is not none %}
        {% do plan.inputs.append(input) %}
        {% set followed_by = [] %}
        {% for _, name, columns in followed
               if name == input["name"] and columns.split(", ") | length == key | length %}
            {% do followed_by.append(columns.split(", ")) %}
        {% endfor %}
        {% if input["is_unknown"] %}
            {% do not_by_key.append("what changed in " ~ input["name"] ~ " is not known") %}
        {% elif input["is_changed"] %}
            {% do changed.append(input["name"]) %}
            {% if not followed_by %}
                {% do not_by_key.append(input["name"] ~ " changed") %}
            {% endif %}
            {% for columns in followed_by %}
                {% do keys_sql.append("select " ~ lotus_lake._key_value(columns) ~ " as key from ducklake_table_changes('" ~ this.database
                    ~ "', '" ~ input["schema"] ~ "', '" ~ input["name"] ~ "', " ~ (input["position"] | int + 1)
                    ~ ", " ~ plan.snapshot ~ ")") %}
            {% endfor %}
        {% endif %}
    {% endfor %}

    {% if not rows[0]["is_there"] and model.resource_type != "test" %}
        {% do plan.update({"mode": "create", "reason": "there is no table yet"}) %}
    {% elif should_full_refresh() %}
        {% do plan.update({"mode": "create", "reason": "a full refresh was asked for"}) %}
    {% elif rows[0]["fingerprint_before"] != plan.fingerprint
            and (lotus_lake.setting("rebuild_on_code_change") or rows[0]["fingerprint_before"] is none) %}
        {% do plan.update({"mode": "create", "reason": "its code or variables changed"}) %}
    {% elif not_by_key %}
        {% do plan.update({"mode": "whole", "reason": not_by_key[0]}) %}
    {% elif changed %}
        {% do plan.update({
            "mode": "keys",
            "reason": changed | join(", ") ~ " changed",
            "keys_sql": keys_sql | join(" union "),
        }) %}
    {% endif %}
    {{ return(plan) }}
{% endmacro %}


{# The nodes whose tables a node reads, those behind views included. #}
{% macro _tables_read(node) %}
    {% set tables = [] %}
    {% for unique_id in node.depends_on.nodes if unique_id in graph.nodes %}
        {% set input = graph.nodes[unique_id] %}
        {% if input.config.materialized in ["view", "lake_view", "ephemeral"] %}
            {% do tables.extend(lotus_lake._tables_read(input)) %}
        {% else %}
            {% do tables.append(input) %}
        {% endif %}
    {% endfor %}
    {{ return(tables) }}
{% endmacro %}


{#
    What a node's code says, as a query for one value that stays the same when only white space or
    comments changed. DuckDB's parser knows what these are; it keeps no comment, so the keys are added.
#}
{% macro _code_sql(sql, followed, key) %}
    {% set more = [followed, key] %}
    {% for column in model.columns.values() %}
        {% do more.append([column.name, column.get("data_type")]) %}
    {% endfor %}
    select 'code ' || md5(
        if((json_serialize_sql(sql) ->> 'error')::boolean, sql, json_deserialize_sql(json_serialize_sql(sql)))
        || '{{ local_md5(tojson(more)) }}'
    )
    from (values ('{{ sql | replace("'", "''") }}')) as code (sql)
{% endmacro %}


{#
    One row for each input, and one at least: what the catalog says of it now, and of this node.

    start_run has copied the positions at the beginning of the run: reading their table takes longer
    than the rest of this query. Only a node itself moves its position; where another run has moved it,
    this one computes more than it had to, and comes out the same.
#}
{% macro _inputs_sql(inputs, code) %}
    {% set catalog = "__ducklake_metadata_" ~ this.database %}
    {% set feeds = inputs | selectattr("config.materialized", "equalto", "feed") | list %}
    {% set pending = "(feeder.backlog_files > 0)" if feeds else "cast(null as boolean)" %}
    with cursors as materialized (
        select * from memory.main.model_cursors where model = '{{ this.identifier }}'
    ),

    last_changes as (
        select table_id, max(snapshot_id) as snapshot_id
        from {{ this.database }}.meta.table_changes
        where snapshot_id > coalesce((select min(snapshot_id) from cursors), 0)
        group by table_id
    ),

    inputs as (
        select
            schemas.schema_name as schema,
            tables.table_name as name,
            tables.table_uuid::varchar as uuid,
            {{ pending }} as is_pending,
            cursors.snapshot_id as position,
            cursors.upstream_uuid is distinct from tables.table_uuid::varchar
                or cursors.snapshot_id < (select min(snapshot_id) from {{ catalog }}.ducklake_snapshot)
                as is_unknown,
            coalesce(last_changes.snapshot_id > cursors.snapshot_id, false)
                or cursors.upstream_pending is distinct from {{ pending }} as is_changed
        from {{ catalog }}.ducklake_table as tables
        inner join {{ catalog }}.ducklake_schema as schemas
            on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
        left join last_changes on tables.table_id = last_changes.table_id
        left join cursors on tables.table_name = cursors.upstream
        {% if feeds %}
        left join {{ this.database }}.meta.feeder_cursors as feeder
            on ends_with(feeder.declaration ->> 'table', '.' || schemas.schema_name || '.' || tables.table_name)
            and (feeder.declaration ->> 'sync_mode') = 'overwrite'
        {% endif %}
        where tables.end_snapshot is null and tables.table_name in ('{{ inputs | join("', '", attribute="alias") }}')
    )

    select
        inputs.*,
        -- Of a test that is not run.
        0 as failures,
        false as should_warn,
        false as should_error,
        (select max(snapshot_id) from {{ catalog }}.ducklake_snapshot) as newest,
        ({{ code }}) as fingerprint,
        (select fingerprint from cursors where upstream = model) as fingerprint_before,
        exists (
            select 1 from {{ catalog }}.ducklake_table where end_snapshot is null and table_name = '{{ this.identifier }}'
            union all
            select 1 from {{ catalog }}.ducklake_view where end_snapshot is null and view_name = '{{ this.identifier }}'
        ) as is_there
    from (select 1) left join inputs on true
{% endmacro %}
