{#
    A change of an order touches its own day, before and after, and the days on which its customer
    turns from returning into new or back. Those are the customer's first day now, and the first day
    among the orders that did not change: that one was the first until an earlier order came, or
    becomes it when the earlier one goes.
#}
{% call(changed) recompute('order_day', [ref('fct_sales')]) %}
    with

    changes as (
        select order_id, customer_id, order_day from {{ changed.fct_sales }}
    ),

    sales as (
        select order_id, customer_id, order_date, order_day from {{ ref('fct_sales') }}
        where is_counted and customer_id in (select customer_id from changes)
    )

    select order_day from changes
    union
    select min_by(order_day, order_date) from sales group by customer_id
    union
    select min_by(order_day, order_date) from sales
    where order_id not in (select order_id from changes)
    group by customer_id
{% endcall %}

with

sales as (
    select * from {{ ref('fct_sales') }} where is_counted and order_day is not null
),

days as (
    select * from sales where {{ to_recompute('order_day') }}
),

first_days as (
    select
        customer_id,
        min_by(order_day, order_date) as first_day
    from sales
    where customer_id in (select customer_id from days)
    group by customer_id
),

summed as (
    select
        days.order_day,
        days.currency,
        count(*) as orders,
        sum(days.units) as units,
        sum(days.gross_sales) as gross_sales,
        sum(days.discounts) as discounts,
        sum(days.returns) as returns,
        sum(days.net_sales) as net_sales,
        sum(days.shipping) as shipping,
        sum(days.taxes) as taxes,
        sum(days.total_sales) as total_sales,
        count(distinct days.customer_id) filter (first_days.first_day = days.order_day)
            as new_customers,
        count(distinct days.customer_id) filter (first_days.first_day < days.order_day)
            as returning_customers
    from days
    left join first_days on days.customer_id = first_days.customer_id
    group by days.order_day, days.currency
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
