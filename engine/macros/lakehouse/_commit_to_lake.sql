{#
    Runs statements in one transaction of the lake, again from its begin when another run was faster.
    They run on a connection of their own (lotus_lake/functions.py), because Jinja cannot catch the
    error of a lost race. `message` is the snapshot's commit message, beside the run.
#}
{% macro _commit_to_lake(statements, message="") %}
    {% do write(statements) %}
    {% do lotus_lake._raise_problem(run_query(
        "select commit_to_lake(sql, message) from (values ('" ~ statements | replace("'", "''") ~ "', '"
        ~ message | replace("'", "''") ~ "')) as statements (sql, message)"
    ).columns[0].values()[0]) %}
{% endmacro %}


{# Stops the node with a message, if there is one. #}
{% macro _raise_problem(problem) %}
    {% if problem is not none %}
        {% do exceptions.raise_database_error(problem) %}
    {% endif %}
{% endmacro %}
