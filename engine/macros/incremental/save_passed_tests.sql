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
