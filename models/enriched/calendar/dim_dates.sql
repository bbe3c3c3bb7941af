with

days as (
    select cast(unnest(generate_series(
        date '{{ var("calendar_start") }}',
        date '{{ var("calendar_end") }}',
        interval 1 day
    )) as date) as date_day
),

final as (
    select
        date_day,
        year(date_day) as year,
        quarter(date_day) as quarter,
        month(date_day) as month,
        monthname(date_day) as month_name,
        cast(date_trunc('year', date_day) as date) as year_start,
        cast(date_trunc('quarter', date_day) as date) as quarter_start,
        cast(date_trunc('month', date_day) as date) as month_start,
        last_day(date_day) as month_end,
        cast(date_trunc('week', date_day) as date) as week_start,
        isoyear(date_day) as iso_year,
        week(date_day) as iso_week,
        dayofyear(date_day) as day_of_year,
        dayofmonth(date_day) as day_of_month,
        isodow(date_day) as day_of_week,
        dayname(date_day) as day_name,
        isodow(date_day) >= 6 as is_weekend
    from days
)

select * from final
