{# Before the first test of a run: see save_passed_tests(). #}
{% macro begin_tests() %}
    {% do run_query(
        "create or replace table memory.main.passed_tests as from memory.main.model_cursors limit 0"
    ) %}
{% endmacro %}
