-- Daily sales of the currency with most, beside what the 28 days before would make one expect.
with

main_currency as (
    select currency from lakehouse.main.fct_daily_sales
    group by currency
    order by sum(orders) desc
    limit 1
),

days as (
    select order_day as day, total_sales::double as sales
    from lakehouse.main.fct_daily_sales
    where currency = (from main_currency)
),

-- A day without orders has no row, and sold nothing.
every_day as (
    select unnest(generate_series(
        (select min(day) from days), (select max(day) from days), interval 1 day
    ))::date as day
),

banded as (
    select
        day,
        coalesce(sales, 0) as sales,
        avg(coalesce(sales, 0)) over before as usual,
        stddev_samp(coalesce(sales, 0)) over before as spread,
        count(*) over before as known
    from every_day
    left join days using (day)
    window before as (order by day rows between 28 preceding and 1 preceding)
)

select
    day::varchar as day,
    sales,
    if(known = 28, greatest(usual - 2 * spread, 0), null) as low,
    if(known = 28, usual + 2 * spread, null) as high,
    (from main_currency) as currency
from banded
where day > (select max(day) from banded) - 120
order by day
