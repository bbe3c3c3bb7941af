-- What each month brought in and what went back, per currency, and its growth over the year before.
-- Returns are booked when they are processed, refunds when they are paid, in the currency in which
-- they are. The newest month is compared with as many days of the year before as have passed.
with

daily_sales as (
    select * from {{ ref('fct_daily_sales') }}
),

daily_payments as (
    select * from {{ ref('fct_daily_payments') }}
),

newest as (
    select max(sale_day) as sale_day from daily_sales
    where orders > 0
),

days as (
    select
        sale_day as day,
        currency,
        orders,
        new_customers,
        gross_sales,
        discounts,
        returns,
        net_sales,
        total_sales
    from daily_sales
    union all by name
    select
        day,
        currency,
        refunds as refunds_paid
    from daily_payments
    union all by name
    select
        daily_sales.sale_day + interval 1 year as day,
        daily_sales.currency,
        daily_sales.net_sales as net_sales_year_before
    from daily_sales
    inner join newest on daily_sales.sale_day + interval 1 year <= newest.sale_day
),

monthly as (
    select
        cast(date_trunc('month', day) as date) as month,
        currency,
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(net_sales), 0) as net_sales,
        coalesce(sum(returns), 0) as returns,
        coalesce(sum(refunds_paid), 0) as refunds_paid,
        coalesce(sum(gross_sales), 0) as gross_sales,
        coalesce(sum(discounts), 0) as discounts,
        coalesce(sum(total_sales), 0) as total_sales,
        coalesce(sum(new_customers), 0) as new_customers,
        sum(net_sales_year_before) as net_sales_year_before
    from days
    group by all
),

final as (
    select
        *,
        round(
            100 * (net_sales - net_sales_year_before) / nullif(net_sales_year_before, 0), 1
        ) as net_sales_growth_percent
    from monthly
)

select * from final
order by month desc, orders desc, currency
