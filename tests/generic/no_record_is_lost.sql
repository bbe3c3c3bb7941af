{#
    Of a stream's staging table: no two different records of one delivery share the stream's primary
    key and their cursor. The newest version of each key is all that is kept downstream, so one of them
    would be lost in silence.

    A delivery is a file; of a stream that is sent whole a sync. Records that are equal in all but
    Airbyte's columns are one. Most records come once: only the others are compared.
#}
{% test no_record_is_lost(model, source_name, stream) %}
    {% set key = lotus_lake._key_columns(lotus_lake._stream_setting(source_name, stream, "primary_key")) %}
    {% set cursor = lotus_lake._stream_setting(source_name, stream, "source_cursor") %}
    {% set shared = (key + ([cursor] if cursor else []) + ["__delivery"]) | join(", ") %}
    with landed as not materialized (
        {# Registered rows have the name of their file alone. #}
        {% set file = "coalesce(_source_file || ' ' || _cursor_version, filename)" %}
        {% if lotus_lake._stream_setting(source_name, stream, "sync_mode") == "overwrite" %}
        select *, coalesce(_airbyte_generation_id || ' ' || _airbyte_meta.sync_id, {{ file }}) as __delivery
        {% else %}
        select *, {{ file }} as __delivery
        {% endif %}
        from {{ model }}
    ),

    several_times as not materialized (
        select hash({{ shared }}) as shared_hash from landed
        group by all
        having count(*) > 1
    )

    select
        {{ key | join(", ") }},
        min((_source_file, _source_row)) as one_place,
        max((_source_file, _source_row)) as other_place
    from landed
    where hash({{ shared }}) in (from several_times)
    group by {{ shared }}
    having count(distinct hash(*columns(
        lambda name: name not in ('_source_file', '_source_row', '_cursor_version', '__delivery')
            and not starts_with(name, '_airbyte_')
    ))) > 1
{% endtest %}
