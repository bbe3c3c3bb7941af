{#
    Seeds, snapshots and data tests as dbt runs them, left alone when nothing that they read has
    changed. dbt knows no other name for their materializations, so a project takes this file as a
    whole, or leaves it out.
#}
{% materialization seed, adapter="duckdb" %}
    {{ return(lotus_lake.unless_unchanged("select '" ~ model.checksum.checksum ~ "'", dbt.materialization_seed_default)) }}
{% endmaterialization %}


{% materialization snapshot, adapter="duckdb" %}
    {{ return(lotus_lake.unless_unchanged(model.compiled_code, dbt.materialization_snapshot_default)) }}
{% endmaterialization %}


{% macro unless_unchanged(code, materialize) %}
    {% set plan = lotus_lake.build_plan(code) %}
    {% if plan.mode == "skip" %}
        {% do store_result("agate_table", response="OK", agate_table=none) %}
        {% call noop_statement("main", "SKIP (" ~ plan.reason ~ ")") %}{% endcall %}
        {{ return({"relations": [this.incorporate(type="table")]}) }}
    {% endif %}
    {% set relations = materialize() %}
    {% do lotus_lake.commit_to_lake(lotus_lake.save_positions(plan), this.identifier ~ ": " ~ plan.reason) %}
    {{ return(relations) }}
{% endmacro %}


{#
    A test that passed is not run again before its SQL or a table that it reads changes. One that asks
    for the time always runs, and so does one that reads no table of the lake. `--full-refresh` and the
    variable run_all_tests run all.
#}
{% materialization test, adapter="duckdb" %}
    {% set plan = lotus_lake.build_plan(sql) %}
    {% set can_be_remembered = plan.inputs | length > 0 and not modules.re.search(
        "\\b(now|today|current_date|current_time|current_timestamp|get_current_timestamp|localtime\\w*)\\b", sql
    ) %}
    {% if plan.mode == "skip" and can_be_remembered and not var("run_all_tests") %}
        {% do store_raw_result("main", message="not run", code="", rows_affected=0, agate_table=plan.found.limit(1).select(["failures", "should_warn", "should_error"])) %}
        {{ return({"relations": []}) }}
    {% endif %}
    {% set relations = dbt.materialization_test_default() %}
    {% if can_be_remembered and load_result("main").table.rows[0][0] == 0 %}
        {% do run_query(lotus_lake.save_positions(plan, "memory.main.passed_tests")) %}
        {# dbt rolls back what a test has done. #}
        {% do adapter.commit() %}
    {% endif %}
    {{ return(relations) }}
{% endmaterialization %}


{# Before the first test of a run: see save_passed_tests(). #}
{% macro begin_tests() %}
    {% do run_query(
        "create or replace table memory.main.passed_tests as from memory.main.model_cursors limit 0"
    ) %}
{% endmacro %}


{#
    At the end of a run, given dbt's own `results`: keeps the positions of the tests that passed, all in
    one transaction.
#}
{% macro save_passed_tests(results) %}
    {% if execute and flags.WHICH in ["build", "test"] %}
        {% set not_run = results | selectattr("adapter_response._message", "equalto", "not run") | list | length %}
        {% if not_run %}
            {% do log("Tests not run, because nothing that they read has changed since they passed: " ~ not_run, info=true) %}
        {% endif %}
        {% if run_query("select count(*) from memory.main.passed_tests").columns[0].values()[0] %}
            {% set cursors = target.database ~ ".meta.model_cursors" %}
            {% do lotus_lake.commit_to_lake(
                "delete from " ~ cursors ~ " where model in (select model from memory.main.passed_tests);"
                ~ "insert into " ~ cursors ~ " by name from memory.main.passed_tests;",
                "tests that passed"
            ) %}
        {% endif %}
    {% endif %}
{% endmacro %}
