{#
    Warns of days with far fewer or far more than the same weekday usually has (volume_scores has
    the statistics). Days without a row count as nothing.

    `day_column` is a date. `amount_column` is summed; without it rows are counted. `least` and `most`
    are shares of the usual amount that are still usual.
#}
{% test volume_is_usual(model, day_column, amount_column=none, least=0.6, most=3) %}
    with

    newest as (
        select max({{ day_column }}) as day from {{ model }} where {{ day_column }} <= {{ lotus_lake.watch_until() }}
    ),

    counted as (
        select
            {{ day_column }} as day,
            {{ "sum(" ~ amount_column ~ ")" if amount_column else "count(*)" }} as amount
        from {{ model }}
        where
            {{ day_column }} <= (select newest.day from newest)
            and {{ day_column }} >= (select newest.day from newest) - {{ lotus_lake.watch_window() }}
        group by 1
    ),

    calendar as (
        select cast(unnest(generate_series(
            (select min(counted.day) from counted), (select newest.day from newest), interval 1 day
        )) as date) as day
    ),

    days as (
        select
            '{{ amount_column or "rows" }}' as series,
            calendar.day,
            cast(coalesce(counted.amount, 0) as double) as amount,
            {{ least }} as least,
            {{ most }} as most
        from calendar
        left join counted on calendar.day = counted.day
    )

    select
        day,
        amount,
        usual,
        score,
        format(
            '{{ model.identifier or "rows" }}: {} on {} {}, usually {:,d} ({:,d} to {:,d} on the {} of these days before).'
            || ' Compare with the shop; {}: see docs/checks.md, "A day has an unusual volume"',
            {{ "format('{:,d} {}', cast(amount as bigint), series)" if amount_column else lotus_lake.counted_sql("cast(amount as bigint)", "row") }},
            dayname(day), day, cast(usual as bigint), cast(lowest as bigint),
            cast(highest as bigint), weeks,
            if(amount < usual, 'is a delivery missing', 'did one come twice')
        ) as message
    from ({{ lotus_lake.unusual_volumes("days") }})
{% endtest %}
