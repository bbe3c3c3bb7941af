{# Stops the node with a message, if there is one. #}
{% macro raise_problem(problem) %}
    {% if problem is not none %}
        {% do exceptions.raise_database_error(problem) %}
    {% endif %}
{% endmacro %}
