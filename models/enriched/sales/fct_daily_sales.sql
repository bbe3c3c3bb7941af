with

movements as (
    select * from {{ ref('fct_sales_ledger') }} where sale_day is not null
),

orders as (
    select * from {{ ref('fct_sales') }} where not is_test_order and order_day is not null
),

-- Gift cards are no sales until somebody pays with them.
amounts as (
    select
        sale_day,
        currency,
        sum(quantity) filter (movement = 'sale') as units,
        -sum(quantity) filter (movement != 'sale') as returned_units,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(returns) as returns,
        sum(net_sales) as net_sales,
        sum(shipping) as shipping,
        sum(taxes) as taxes,
        sum(tips) as tips,
        sum(total_sales) as total_sales,
        0 as gift_card_sales
    from movements
    where line_type != 'gift_card'
    group by sale_day, currency
    union all by name
    select
        sale_day,
        currency,
        sum(net_sales) as gift_card_sales
    from movements
    where line_type = 'gift_card'
    group by sale_day, currency
),

first_days as (
    select
        customer_id,
        min_by(order_day, order_date) as first_day
    from orders
    where customer_id is not null
    group by customer_id
),

counts as (
    select
        orders.order_day as sale_day,
        orders.currency,
        count(*) as orders,
        count(distinct orders.customer_id) filter (first_days.first_day = orders.order_day)
            as new_customers,
        count(distinct orders.customer_id) filter (first_days.first_day < orders.order_day)
            as returning_customers
    from orders
    left join first_days on orders.customer_id = first_days.customer_id
    group by orders.order_day, orders.currency
),

summed as (
    select
        sale_day,
        currency,
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(units), 0) as units,
        coalesce(sum(returned_units), 0) as returned_units,
        coalesce(sum(gross_sales), 0) as gross_sales,
        coalesce(sum(discounts), 0) as discounts,
        coalesce(sum(returns), 0) as returns,
        coalesce(sum(net_sales), 0) as net_sales,
        coalesce(sum(shipping), 0) as shipping,
        coalesce(sum(taxes), 0) as taxes,
        coalesce(sum(tips), 0) as tips,
        coalesce(sum(total_sales), 0) as total_sales,
        coalesce(sum(gift_card_sales), 0) as gift_card_sales,
        coalesce(sum(new_customers), 0) as new_customers,
        coalesce(sum(returning_customers), 0) as returning_customers
    from (from amounts union all by name from counts) as parts
    group by sale_day, currency
),

final as (
    select
        sale_day,
        currency,
        cast(orders as bigint) as orders,
        cast(units as bigint) as units,
        cast(returned_units as bigint) as returned_units,
        {{ money('gross_sales') }} as gross_sales,
        {{ money('discounts') }} as discounts,
        {{ money('returns') }} as returns,
        {{ money('net_sales') }} as net_sales,
        {{ money('shipping') }} as shipping,
        {{ money('taxes') }} as taxes,
        {{ money('tips') }} as tips,
        {{ money('total_sales') }} as total_sales,
        {{ money('gift_card_sales') }} as gift_card_sales,
        {{ money_average('(gross_sales - discounts)', 'orders') }} as average_order_value,
        cast(new_customers as bigint) as new_customers,
        cast(returning_customers as bigint) as returning_customers
    from summed
)

select * from final
