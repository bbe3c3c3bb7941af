{#
    How far the days of `days` are from the usual one, and whether that is unusual: a row for each that
    meets the condition `judged`.

    Counts scatter the more the larger they are, so they are compared as 2 * sqrt(count + 3/8), whose
    scatter is about 1 for every Poisson count (Anscombe, Biometrika 35, 1948): a day of few rows is
    no news. How far a day is from the usual one, the median, is told in median absolute deviations
    times 1.4826, at least 1 (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993; NIST's
    e-Handbook of Statistical Methods, 1.3.5.17), so that one bad day among those before changes
    nothing. A day of nothing is judged by chance alone: a series that is always there does not stop
    because it varies.

    What is no chance has to matter too: less than `least` times the usual amount and a fifth below
    the second lowest of these days, or more than `most` times and a quarter above every day, whatever
    its weekday, since campaigns keep to no weekday. A series is not judged that misses more than every
    fourth of these days, or that has fewer than 7 usually: of 7, nothing comes once in a thousand days.
#}
{% macro volume_scores(days, judged) %}
    select
        *,
        past_amounts[2] as lowest,
        past_amounts[-2] as highest,
        coalesce(
            weeks >= {{ lotus_lake.setting("watch_least_weeks") }}
            and delivered_weeks >= 0.75 * weeks
            and usual >= 7
            and (
                (score <= -{{ lotus_lake.setting("watch_score") }} and amount < least * usual and amount < 0.8 * past_amounts[2])
                or (score >= {{ lotus_lake.setting("watch_score") }} and amount > most * usual and amount > 1.25 * peak)
            ),
            false
        ) as is_unusual
    from (
        select
            series,
            day,
            amount,
            least,
            most,
            max(past_amount) as peak,
            count(*) filter (is_same_weekday) as weeks,
            count(*) filter (is_same_weekday and past_amount > 0) as delivered_weeks,
            median(past_amount) filter (is_same_weekday) as usual,
            list_sort(list(past_amount) filter (is_same_weekday)) as past_amounts,
            (2 * sqrt(amount + 0.375) - median(2 * sqrt(past_amount + 0.375)) filter (is_same_weekday))
                / if(
                    amount = 0,
                    1,
                    greatest(1, 1.4826 * mad(2 * sqrt(past_amount + 0.375)) filter (is_same_weekday))
                ) as score
        from (
            select
                judged.*,
                past.amount as past_amount,
                (judged.day - past.day) % 7 = 0 as is_same_weekday
            from {{ days }} as judged
            left join {{ days }} as past
                on
                    judged.series = past.series
                    and past.day < judged.day
                    and past.day >= judged.day - 7 * {{ lotus_lake.setting("watch_weeks") }}
            where {{ judged }}
        )
        group by series, day, amount, least, most
    )
{% endmacro %}
