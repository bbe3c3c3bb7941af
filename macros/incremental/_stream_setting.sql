{#
    A setting of a stream, as its source declares it, or none. A unit test has no graph; it finds the
    declaration where declare_streams() has put it.
#}
{% macro _stream_setting(source_name, stream, setting) %}
    {% if not execute %}
        {{ return("null") }}
    {% endif %}
    {% if graph.sources %}
        {% for declared in graph.sources.values()
               if declared.source_name == source_name and declared.name == stream %}
            {{ return(declared.config.meta.feeder.get(setting)) }}
        {% endfor %}
    {% else %}
        {% set found = run_query(
            "select coalesce(declaration -> '" ~ setting ~ "', 'null') from memory." ~ source_name ~ "." ~ stream
        ) %}
        {{ return(fromjson(found.columns[0].values()[0])) }}
    {% endif %}
{% endmacro %}
