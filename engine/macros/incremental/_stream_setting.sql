{#
    A setting of a stream, as its source declares it, or none. A unit test has no graph; it finds what the
    last run's start has kept of it.
#}
{% macro _stream_setting(source_name, stream, setting) %}
    {% if not execute %}
        {{ return("null") }}
    {% endif %}
    {% if graph.sources %}
        {% for declared in lotus_lake._declared_streams()
               if declared.source_name == source_name and declared.name == stream %}
            {{ return(declared.config.meta.feeder.get(setting)) }}
        {% endfor %}
    {% else %}
        {% set found = run_query(
            "select declaration -> '" ~ setting ~ "' from " ~ target.database ~ ".meta.feeder_cursors"
            ~ " where source = '" ~ source_name ~ "' and stream = '" ~ stream ~ "'"
        ) %}
        {{ return(fromjson(found.columns[0].values()[0]) if found.rows and found.columns[0].values()[0] else none) }}
    {% endif %}
{% endmacro %}
