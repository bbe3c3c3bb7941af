{#
    What the versions of a key are ordered by: the greatest is the newest. Models use it through
    newest_of().

    That is the stream's own cursor, if its source declares one (meta: feeder: source_cursor), and
    after it what Airbyte says about the delivery, nulls lowest. Of a stream without Airbyte's columns
    it is the place in the landing zone: the file that was named last. The place also decides between
    records that Airbyte itself does not tell apart, so that the outcome never depends on the order in
    which files were fed. One blob compares faster than a row of seven values, and needs no stand-ins
    for nulls.
#}
{% macro newest_version_order(source_name, stream) -%}
    {%- set cursor = lotus_lake._stream_setting(source_name, stream, "source_cursor") -%}
    {%- set parts = [cursor] if cursor else [] -%}
    {%- if lotus_lake._stream_setting(source_name, stream, "airbyte") is sameas false -%}
        {%- do parts.extend([lotus_lake.natural_sort_key("_source_file"), "_cursor_version", "_source_row"]) -%}
    {%- else -%}
        {%- do parts.extend([
            "_airbyte_extracted_at", "_airbyte_generation_id", "_airbyte_meta.sync_id",
            "_airbyte_raw_id", "_source_file", "_source_row",
        ]) -%}
    {%- endif -%}
    create_sort_key({{ parts | join(", 'asc nulls first', ") }}, 'asc nulls first')
{%- endmacro %}
