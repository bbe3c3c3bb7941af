{#
    What the versions of a key of an Airbyte stream are ordered by: the greatest is the newest.

        max_by(rowid, {{ newest_version_order('shopify', 'orders') }})

    That is the stream's own cursor, as its source declares it (meta: feeder: source_cursor), and
    after it what Airbyte says about the delivery, nulls lowest. The place in the landing zone comes
    last: it only decides between records that Airbyte itself does not tell apart, so that the
    outcome never depends on the order in which files were fed. One blob compares faster than a row
    of seven values, and needs no stand-ins for nulls.
#}
{% macro newest_version_order(source_name, stream) -%}
    {%- set parts = [
        lotus_lake._source_cursor(source_name, stream),
        "_airbyte_extracted_at",
        "_airbyte_generation_id",
        "_airbyte_meta.sync_id",
        "_airbyte_raw_id",
        "_source_file",
        "_source_row",
    ] -%}
    create_sort_key({{ parts | join(", 'asc nulls first', ") }}, 'asc nulls first')
{%- endmacro %}


{# A unit test has no graph; it finds the declaration where declare_streams() has put it. #}
{% macro _source_cursor(source_name, stream) %}
    {% if not execute %}
        {{ return("null::timestamptz") }}
    {% endif %}
    {% if graph.sources %}
        {% for declared in graph.sources.values()
               if declared.source_name == source_name and declared.name == stream %}
            {{ return(declared.config.meta.feeder.source_cursor) }}
        {% endfor %}
    {% else %}
        {% set found = run_query(
            "select declaration ->> 'source_cursor' from memory." ~ source_name ~ "." ~ stream
        ) %}
        {{ return(found.columns[0].values()[0]) }}
    {% endif %}
{% endmacro %}
