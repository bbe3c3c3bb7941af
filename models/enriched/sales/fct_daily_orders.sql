with

sales as (
    select * from {{ ref('fct_sales') }} where is_counted and order_day is not null
),

first_days as (
    select
        customer_id,
        min_by(order_day, order_date) as first_day
    from sales
    group by customer_id
),

summed as (
    select
        sales.order_day,
        sales.currency,
        count(*) as orders,
        sum(sales.units) as units,
        sum(sales.gross_sales) as gross_sales,
        sum(sales.discounts) as discounts,
        sum(sales.returns) as returns,
        sum(sales.net_sales) as net_sales,
        sum(sales.shipping) as shipping,
        sum(sales.taxes) as taxes,
        sum(sales.total_sales) as total_sales,
        count(distinct sales.customer_id) filter (first_days.first_day = sales.order_day)
            as new_customers,
        count(distinct sales.customer_id) filter (first_days.first_day < sales.order_day)
            as returning_customers
    from sales
    left join first_days on sales.customer_id = first_days.customer_id
    group by sales.order_day, sales.currency
),

final as (
    select
        order_day,
        currency,
        orders,
        cast(units as bigint) as units,
        {{ money('gross_sales') }} as gross_sales,
        {{ money('discounts') }} as discounts,
        {{ money('returns') }} as returns,
        {{ money('net_sales') }} as net_sales,
        {{ money('shipping') }} as shipping,
        {{ money('taxes') }} as taxes,
        {{ money('total_sales') }} as total_sales,
        {{ money_average('(gross_sales - discounts)', 'orders') }} as average_order_value,
        new_customers,
        returning_customers
    from summed
)

select * from final
