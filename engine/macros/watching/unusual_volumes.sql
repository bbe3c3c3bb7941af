{# The last complete days that had far fewer or far more than the same weekday usually has. #}
{% macro unusual_volumes(days) %}
    select * from (
        {{ lotus_lake.volume_scores(days, lotus_lake._is_judged("judged.day", days)) }}
    )
    where is_unusual
{% endmacro %}


{# Only days that are complete, and only the last of them: an old day does not warn for ever. #}
{% macro _is_judged(day, days) -%}
    {{ day }} <= (select max(newest.day) from {{ days }} as newest) - {{ lotus_lake.setting("watch_settle_days") }}
    and {{ day }} > (select max(newest.day) from {{ days }} as newest)
        - ({{ lotus_lake.setting("watch_settle_days") }} + {{ lotus_lake.setting("watch_days") }})
{%- endmacro %}
