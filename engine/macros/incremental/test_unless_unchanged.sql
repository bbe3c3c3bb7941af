{#
    A test that passed is not run again before its SQL or a table that it reads changes. One that asks
    for the time always runs, and so does one that reads no table of the lake. `--full-refresh` and the
    variable run_all_tests run all.
#}
{% macro test_unless_unchanged(sql) %}
    {% set plan = lotus_lake._build_plan(sql) %}
    {% set can_be_remembered = plan.inputs | length > 0 and not modules.re.search(
        "\\b(now|today|current_date|current_time|current_timestamp|get_current_timestamp|localtime\\w*)\\b", sql
    ) %}
    {% if plan.mode == "skip" and can_be_remembered and not lotus_lake.setting("run_all_tests") %}
        {% do store_raw_result("main", message="not run", code="", rows_affected=0, agate_table=plan.found.limit(1).select(["failures", "should_warn", "should_error"])) %}
        {{ return({"relations": []}) }}
    {% endif %}
    {% set relations = dbt.materialization_test_default() %}
    {% if can_be_remembered and load_result("main").table.rows[0][0] == 0 %}
        {% do run_query(lotus_lake._save_positions(plan, "memory.main.passed_tests")) %}
        {# dbt rolls back what a test has done. #}
        {% do adapter.commit() %}
    {% endif %}
    {{ return(relations) }}
{% endmacro %}
