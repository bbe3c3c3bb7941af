{#
    A subquery for the number of a stream's files that its last feed left for the next run. A model
    of a full-refresh stream needs it: what a generation does not have is gone, but only when all of
    the generation has been fed.
#}
{% macro backlog_files(source_name, stream) -%}
    (
        select coalesce(max(backlog_files), 0)
        from {{ target.database }}.meta.feeder_cursors
        where source = '{{ source_name }}' and stream = '{{ stream }}'
    )
{%- endmacro %}
