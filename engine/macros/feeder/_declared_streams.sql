{# The streams that the project declares: sources with `meta: feeder:`, of all packages. #}
{% macro _declared_streams() %}
    {% set streams = [] %}
    {% for source in graph.sources.values() if source.config.meta.feeder is defined %}
        {% do streams.append(source) %}
    {% endfor %}
    {{ return(streams) }}
{% endmacro %}
