{# dbt's seed materialization, skipped when the file has not changed: see build_plan(). #}
{% materialization seed, adapter="duckdb" %}
    {% set plan = build_plan() %}
    {% if plan.mode == "skip" %}
        {% do store_result("agate_table", response="OK", agate_table=none) %}
        {% call noop_statement("main", "SKIP (" ~ plan.reason ~ ")") %}{% endcall %}
        {{ return({"relations": [this.incorporate(type="table")]}) }}
    {% endif %}
    {% set relations = dbt.materialization_seed_default() %}
    {% call statement("positions", language="python") %}{{ lotus_lake.transaction_job(save_positions(plan)) }}{% endcall %}
    {% do lotus_lake.raise_job_problem() %}
    {{ return(relations) }}
{% endmaterialization %}
