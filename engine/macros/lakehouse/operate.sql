{#
    Does an operation of lotus_lake/operations, which prints what it says. Stops with its problem.

    `arguments` are those that a person gave; the operation checks them.
#}
{% macro operate(operation, arguments={}) %}
    {% set problem = lotus_lake._operate(operation, arguments) %}
    {% if problem is not none %}
        {{ exceptions.raise_compiler_error(problem) }}
    {% endif %}
{% endmacro %}


{# Gives the problem, or none. #}
{% macro _operate(operation, arguments) %}
    {% set given = {} %}
    {% for name, value in arguments.items() %}
        {# A date of YAML is no value of JSON. #}
        {% set is_plain = value is none or value is number or value is iterable %}
        {% do given.update({name: value if is_plain else value | string}) %}
    {% endfor %}
    {% set done = fromjson(run_query(
        "select operate('" ~ operation ~ "', '" ~ tojson(given) | replace("'", "''") ~ "')"
    ).columns[0].values()[0]) %}
    {% for line in done["warnings"] %}
        {% do exceptions.warn(line) %}
    {% endfor %}
    {{ return(done["problem"]) }}
{% endmacro %}
