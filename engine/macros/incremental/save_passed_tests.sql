{#
    At the end of a run, given dbt's own `results`: keeps the positions of the tests that passed, all in
    one transaction.
#}
{% macro save_passed_tests(results) %}
    {% if execute and flags.WHICH in ["build", "test"] %}
        {% if run_query("select count(*) from memory.main.passed_tests").columns[0].values()[0] %}
            {% set cursors = target.database ~ ".meta.model_cursors" %}
            {% do lotus_lake._commit_to_lake(
                "delete from " ~ cursors ~ " where model in (select model from memory.main.passed_tests);"
                ~ "insert into " ~ cursors ~ " by name from memory.main.passed_tests;",
                "tests that passed"
            ) %}
        {% endif %}
    {% endif %}
{% endmacro %}
