{# dbt's snapshot materialization, skipped when nothing that it reads has changed: see build_plan(). #}
{% materialization snapshot, adapter="duckdb" %}
    {% set plan = build_plan() %}
    {% if plan.mode == "skip" %}
        {% call noop_statement("main", "SKIP (" ~ plan.reason ~ ")") %}{% endcall %}
        {{ return({"relations": [this.incorporate(type="table")]}) }}
    {% endif %}
    {% set relations = dbt.materialization_snapshot_default() %}
    {% do run_query("begin;" ~ save_positions(plan) ~ "commit;") %}
    {{ return(relations) }}
{% endmaterialization %}
