{#
    dbt's view materialization, skipped when the view is there and its code has not changed: dbt would
    replace it in every run, and each time write a snapshot.
#}
{% materialization view, adapter="duckdb" %}
    {% set target_relation = this.incorporate(type="view") %}
    {% set catalog = "__ducklake_metadata_" ~ this.database %}
    {% set fingerprint = lotus_lake._fingerprint() %}
    {% set found = run_query(
        "select
            (select max(snapshot_id) from " ~ catalog ~ ".ducklake_snapshot) as newest,
            count(*) > 0 as is_there
        from " ~ catalog ~ ".ducklake_view as views
        inner join " ~ this.database ~ ".meta.model_cursors as cursors on views.view_name = cursors.model
        where
            views.end_snapshot is null
            and views.view_name = '" ~ this.identifier ~ "'
            and cursors.fingerprint = '" ~ fingerprint ~ "'"
    ).rows[0] %}
    {{ run_hooks(pre_hooks) }}
    {% if found["is_there"] and not should_full_refresh() %}
        {% call noop_statement("main", "SKIP (its code has not changed)") %}{% endcall %}
    {% else %}
        {% set plan = {"snapshot": found["newest"], "fingerprint": fingerprint, "uuids": {}} %}
        {% set view_sql = lotus_lake.view_sql(target_relation, sql, plan) %}
        {% call statement("main", language="python") %}{{ lotus_lake.transaction_job(view_sql) }}{% endcall %}
        {% do write(view_sql) %}
        {% do lotus_lake.raise_job_problem() %}
    {% endif %}
    {{ run_hooks(post_hooks) }}
    {% do adapter.commit() %}
    {{ return({"relations": [target_relation]}) }}
{% endmaterialization %}


{% macro view_sql(relation, sql, plan) %}
    {% if config.get("contract").enforced %}
        {{ get_assert_columns_equivalent(sql) }}
    {% endif %}
    create or replace view {{ relation }} as (
        {{ sql }}
    );
    {{ save_positions(plan) }}
{% endmacro %}
