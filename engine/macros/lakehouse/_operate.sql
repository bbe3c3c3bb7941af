{#
    Takes a step of a run that is Python's (lotus_lake/operations). Stops with its problem.
#}
{% macro _operate(operation, arguments={}) %}
    {% set problem = lotus_lake._problem_of(operation, arguments) %}
    {% if problem is not none %}
        {{ exceptions.raise_compiler_error(problem) }}
    {% endif %}
{% endmacro %}


{# Gives the problem, or none. #}
{% macro _problem_of(operation, arguments) %}
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


{# Variables that the project sets, with their values, as a mapping; Python has the defaults of others. #}
{% macro _values_of(names) %}
    {% set values = {} %}
    {% for name in names if var(name, none) is not none %}
        {% do values.update({name: var(name)}) %}
    {% endfor %}
    {{ return(values) }}
{% endmacro %}
