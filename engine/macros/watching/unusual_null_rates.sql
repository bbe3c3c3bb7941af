{#
    The columns and days with far more or far fewer nulls than the same weekday usually has.

    Shares of few rows scatter more than shares of many, so they are compared as
    asin(sqrt((nulls + 3/8) / (rows + 3/4))), whose scatter is about 1 / sqrt(4 * rows + 2) for every
    binomial count (Anscombe, Biometrika 35, 1948). The usual share is the median; distances from it
    are measured as in volume_scores(). What can be told from chance still has to matter: `points`
    of a hundred apart from the usual share, and half of it outside all days before but one.
#}
{% macro unusual_null_rates(days, points) %}
    select
        *,
        past_shares[2] as lowest,
        past_shares[-2] as highest
    from (
        select
            column_name,
            day,
            number_of_rows,
            nulls,
            usual,
            count(*) as weeks,
            list_sort(list(past_nulls / past_rows)) as past_shares,
            {{ lotus_lake._binomial_distance("nulls", "number_of_rows", "usual") }}
                / greatest(1, 1.4826 * median(abs(
                    {{ lotus_lake._binomial_distance("past_nulls", "past_rows", "usual") }}
                ))) as score
        from (
            select
                judged.*,
                past.nulls as past_nulls,
                past.number_of_rows as past_rows,
                median(past.nulls / past.number_of_rows) over (
                    partition by judged.column_name, judged.day
                ) as usual
            from {{ days }} as judged
            inner join {{ days }} as past
                on
                    judged.column_name = past.column_name
                    and past.day < judged.day
                    and past.day >= judged.day - 7 * {{ lotus_lake.setting("watch_weeks") }}
                    and (judged.day - past.day) % 7 = 0
            where {{ lotus_lake._is_judged("judged.day", days) }}
        )
        group by column_name, day, number_of_rows, nulls, usual
    )
    where
        weeks >= {{ lotus_lake.setting("watch_least_weeks") }}
        and abs(nulls / number_of_rows - usual) * 100 >= {{ points }}
        and (
            (score <= -{{ lotus_lake.setting("watch_score") }} and (past_shares[2] - nulls / number_of_rows) * 100 >= {{ points }} / 2)
            or (score >= {{ lotus_lake.setting("watch_score") }} and (nulls / number_of_rows - past_shares[-2]) * 100 >= {{ points }} / 2)
        )
{% endmacro %}


{% macro _binomial_distance(nulls, rows, usual) -%}
    sqrt(4 * {{ rows }} + 2) * (
        asin(sqrt(({{ nulls }} + 0.375) / ({{ rows }} + 0.75)))
        - asin(sqrt(({{ rows }} * {{ usual }} + 0.375) / ({{ rows }} + 0.75)))
    )
{%- endmacro %}
