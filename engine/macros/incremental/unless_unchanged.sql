{#
    Runs dbt's own materialization of a seed or a snapshot, unless nothing that the node reads has changed.
    dbt knows no other name for these materializations: a project that wants it overrides them in a
    file of its own (macros/unchanged.sql of the shop).
#}
{% macro unless_unchanged(code, materialize) %}
    {% set plan = lotus_lake._build_plan(code) %}
    {% if plan.mode == "skip" %}
        {% do store_result("agate_table", response="OK", agate_table=none) %}
        {% call noop_statement("main", "SKIP (" ~ plan.reason ~ ")") %}{% endcall %}
        {{ return({"relations": [this.incorporate(type="table")]}) }}
    {% endif %}
    {% set relations = materialize() %}
    {% do lotus_lake._commit_to_lake(lotus_lake._save_positions(plan), this.identifier ~ ": " ~ plan.reason) %}
    {{ return(relations) }}
{% endmacro %}
