{#
    A view that is replaced only when its code changed: dbt's own would be replaced in every run, and
    write a snapshot each time.
#}
{% materialization lake_view, adapter="duckdb" %}
    {% set relation = this.incorporate(type="view") %}
    {{ run_hooks(pre_hooks) }}
    {% set plan = lotus_lake._build_plan(sql) %}
    {% if plan.mode == "create" %}
        {% if config.get("contract").enforced %}
            {% do get_assert_columns_equivalent(sql) %}
        {% endif %}
        {% do lotus_lake._commit_to_lake(
            "create or replace view " ~ relation ~ " as (\n" ~ sql ~ "\n);\n" ~ lotus_lake._save_positions(plan),
            this.identifier ~ ": " ~ plan.reason
        ) %}
        {% call noop_statement("main", "OK") %}{% endcall %}
    {% else %}
        {% call noop_statement("main", "SKIP (its code has not changed)") %}{% endcall %}
    {% endif %}
    {{ run_hooks(post_hooks) }}
    {% do adapter.commit() %}
    {{ return({"relations": [relation]}) }}
{% endmaterialization %}
