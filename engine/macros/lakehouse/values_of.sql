{# Variables that the project sets, with their values, as a mapping; Python has the defaults of others. #}
{% macro values_of(names) %}
    {% set values = {} %}
    {% for name in names if var(name, none) is not none %}
        {% do values.update({name: var(name)}) %}
    {% endfor %}
    {{ return(values) }}
{% endmacro %}
