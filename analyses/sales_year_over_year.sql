-- Sales of each month beside those of the same month a year before, per currency.
with

daily_sales as (
    select * from {{ ref('fct_daily_sales') }}
),

monthly_sales as (
    select
        cast(date_trunc('month', order_day) as date) as order_month,
        currency,
        sum(orders) as orders,
        sum(net_sales) as net_sales,
        sum(total_sales) as total_sales,
        sum(new_customers) as new_customers
    from daily_sales
    group by all
),

final as (
    select
        this_year.order_month,
        this_year.currency,
        this_year.orders,
        this_year.net_sales,
        this_year.total_sales,
        this_year.new_customers,
        year_before.net_sales as net_sales_year_before,
        round(
            100 * (this_year.net_sales - year_before.net_sales)
            / nullif(year_before.net_sales, 0),
            1
        ) as net_sales_growth_percent
    from monthly_sales as this_year
    left join monthly_sales as year_before on
        this_year.order_month = year_before.order_month + interval 1 year
        and this_year.currency is not distinct from year_before.currency
)

select * from final
order by order_month desc, currency
