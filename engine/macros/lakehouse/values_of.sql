{# Variables with their values, as a mapping. #}
{% macro values_of(names) %}
    {% set values = {} %}
    {% for name in names %}
        {% do values.update({name: var(name)}) %}
    {% endfor %}
    {{ return(values) }}
{% endmacro %}
