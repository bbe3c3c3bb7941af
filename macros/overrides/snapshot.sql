{# dbt's snapshot materialization, skipped when nothing that it reads has changed: see build_plan(). #}
{% materialization snapshot, adapter="duckdb" %}
    {% set plan = build_plan() %}
    {% if plan.mode == "skip" %}
        {% call noop_statement("main", "SKIP (" ~ plan.reason ~ ")") %}{% endcall %}
        {{ return({"relations": [this.incorporate(type="table")]}) }}
    {% endif %}
    {% set relations = dbt.materialization_snapshot_default() %}
    {% call statement("positions", language="python") %}{{ lotus_lake.transaction_job(save_positions(plan)) }}{% endcall %}
    {% do lotus_lake.raise_job_problem() %}
    {{ return(relations) }}
{% endmaterialization %}
