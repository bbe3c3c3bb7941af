{#
    A subquery for the generation that is the truth of a full-refresh stream: the newest complete
    one. A generation is complete when none of the stream's files waits for the next run; until then
    the one before it stays the truth, if there is one. What it does not have is no longer there.
#}
{% macro newest_generation(staging, source_name, stream) -%}
    (
        select coalesce(
            max(generation) filter (generation < newest_one or backlog = 0), max(generation)
        )
        from (
            select
                coalesce(_airbyte_generation_id, -1) as generation,
                max(coalesce(_airbyte_generation_id, -1)) over () as newest_one,
                {{ lotus_lake.backlog_files(source_name, stream) }} as backlog
            from {{ staging }}
        )
    )
{%- endmacro %}
