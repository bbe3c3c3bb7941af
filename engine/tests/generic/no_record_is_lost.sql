{#
    Of a stream's staging table: no two different records of one delivery share the stream's primary
    key and their cursor. Only the newest version of each key is kept downstream, so one of them would
    be lost in silence.

    A delivery is a file; of a stream that is sent whole a sync. Records that are equal in all but
    the loader's columns (_airbyte_meta, _dlt_id: what begins with _) are one. Most records come once:
    only the others are compared.
#}
{% test no_record_is_lost(model, source_name, stream) %}
    {% set key = lotus_lake._key_columns(lotus_lake._stream_setting(source_name, stream, "primary_key")) %}
    {% set cursor = lotus_lake._stream_setting(source_name, stream, "source_cursor") %}
    {% set is_whole = lotus_lake._stream_setting(source_name, stream, "sync_mode") == "overwrite" %}
    {% set shared = (key + ([cursor] if cursor else []) + ["__delivery"]) | join(", ") %}
    with landed as not materialized (
        select
            *,
            {# Registered rows have the name of their file alone. #}
            concat('row ', _source_row, ' of ', coalesce(_source_file, filename)) as __place,
            coalesce(
                {{ "_airbyte_generation_id || ' ' || _airbyte_meta.sync_id," if is_whole }}
                _source_file || ' ' || _cursor_version,
                filename
            ) as __delivery
        from {{ model }}
    ),

    several_times as not materialized (
        select hash({{ shared }}) as shared_hash from landed
        group by all
        having count(*) > 1
    ),

    records as (
        select
            *,
            hash(*columns(lambda name: not starts_with(name, '_'))) as __content
        from (select * from landed where hash({{ shared }}) in (from several_times))
    )

    select
        {{ key | join(", ") }},
        concat(
            '{{ source_name }}.{{ stream }}: {{ key | join(", ") | replace("'", "''") }} is no key: ',
            min_by(__place, __content), ' and ', max_by(__place, __content), ' are different records, and'
            || ' both have ', concat_ws(', ', {{ key | join(", ") }}), '. See docs/checks.md, "A key loses records"'
        ) as message
    from records
    group by {{ shared }}
    having min(__content) <> max(__content)
{% endtest %}
