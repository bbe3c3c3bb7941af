{#
    dbt's incremental materialization for this lake, for three kinds of model:

    - Python models in landing/ feed a stream: the module owns its transaction, so there is nothing
      left to write here;
    - SQL models that nothing reaches are skipped, so that a run with nothing new writes no snapshot;
    - other SQL models are built in full or for the keys that changed: see build_plan().

    Rows, positions and a new table all commit in one DuckLake transaction, which is run again when
    another run was faster.
#}
{% materialization incremental, adapter="duckdb", supported_languages=["sql", "python"] %}
    {% set target_relation = this.incorporate(type="table") %}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% set plan = build_plan() if model.language == "sql" else {"mode": "feed"} %}
    {% if plan.mode == "feed" %}
        {% call statement("main", language="python") %}
{{ compiled_code }}

{{ lotus_lake.keep_job_problem() }}
        {% endcall %}
        {% do lotus_lake.raise_job_problem() %}
    {% elif plan.mode == "skip" %}
        {% do lotus_lake.log_plan(plan) %}
        {% call noop_statement("main", "SKIP (" ~ plan.reason ~ ")") %}{% endcall %}
    {% else %}
        {% do lotus_lake.log_plan(plan) %}
        {% if plan.mode == "full" %}
            {% set build_sql = lotus_lake.full_build_sql(target_relation, compiled_code, plan) %}
        {% else %}
            {% set build_sql = lotus_lake.delta_build_sql(target_relation, compiled_code, plan) %}
        {% endif %}
        {% call statement("main", language="python") %}{{ lotus_lake.transaction_job(build_sql) }}{% endcall %}
        {% do write(build_sql) %}
        {% do lotus_lake.raise_job_problem() %}
    {% endif %}

    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {% if model.language == "sql" %}
        {% do run_query("drop table if exists memory.main.recompute__" ~ this.identifier) %}
    {% endif %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target_relation]}) }}
{% endmaterialization %}


{% macro log_plan(plan) %}
    {% do log(this.identifier ~ ": " ~ plan.mode ~ " build, " ~ plan.reason) %}
{% endmacro %}


{#
    Sorted by its key, so that what is asked of a few keys reads few row groups (docs/decisions/0017).
    The semicolon stands on a line of its own: a model may end with a comment.
#}
{% macro full_build_sql(relation, sql, plan) %}
    {% if config.get("contract").enforced %}
        {{ get_assert_columns_equivalent(sql) }}
    {% endif %}
    drop table if exists {{ relation }};
    create table {{ relation }} {{ get_table_columns_and_constraints() if config.get("contract").enforced
        else "as select * from (" ~ sql ~ "\n) limit 0" }};
    {% if plan.key %}
    alter table {{ relation }} set sorted by ({{ plan.key }} asc);
    {% endif %}
    insert into {{ relation }} by name
    {{ sql }}
    ;
    {{ save_positions(plan) }}
{% endmacro %}


{# Rows that come out as they were are left alone, so that a repeated delivery stops here. #}
{% macro delta_build_sql(relation, sql, plan) %}
    {% set keys = "memory.main.recompute__" ~ relation.identifier %}
    create or replace temp table new_rows as
    select * from {{ relation }} limit 0;

    insert into new_rows by name
    {{ sql }}
    ;

    create or replace temp table old_rows as
    select * from {{ relation }} where {{ plan.key }} in (from {{ keys }});

    create or replace temp table changed_keys as
    select {{ plan.key }} from (from old_rows except all from new_rows)
    union
    select {{ plan.key }} from (from new_rows except all from old_rows);

    delete from {{ relation }} where {{ plan.key }} in (from changed_keys);
    insert into {{ relation }}
    select * from new_rows where {{ plan.key }} in (from changed_keys);
    {{ save_positions(plan) }}
{% endmacro %}
