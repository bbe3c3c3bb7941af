{#
    A change of an order touches its customer's cohort now, the cohort its customer would be in
    without the changed orders, and, where a changed order was the first, the month of that order.
#}
{% call(changed) recompute('cohort_month', [ref('fct_sales')]) %}
    with

    changes as (
        select order_id, customer_id, order_day from {{ changed.fct_sales }}
        where customer_id is not null
    ),

    sales as (
        select order_id, customer_id, order_date, order_day from {{ ref('fct_sales') }}
        where is_counted and customer_id in (select customer_id from changes)
    ),

    first_days as (
        select order_day from changes
        union
        select min_by(order_day, order_date) from sales group by customer_id
        union
        select min_by(order_day, order_date) from sales
        where order_id not in (select order_id from changes)
        group by customer_id
    )

    select cast(date_trunc('month', order_day) as date) as cohort_month from first_days
{% endcall %}

with

-- Orders without a customer or a date belong to no cohort.
sales as (
    select
        order_id,
        customer_id,
        order_date,
        order_day,
        net_sales
    from {{ ref('fct_sales') }}
    where is_counted and customer_id is not null and order_day is not null
),

first_months as (
    select
        customer_id,
        cast(date_trunc('month', min_by(order_day, order_date)) as date) as cohort_month
    from sales
    group by customer_id
),

members as (
    select * from first_months where {{ to_recompute('cohort_month') }}
),

sizes as (
    select
        cohort_month,
        count(*) as customers
    from members
    group by cohort_month
),

active as (
    select
        members.cohort_month,
        datediff('month', members.cohort_month, sales.order_day) as months_since_first,
        count(distinct sales.customer_id) as active_customers,
        count(*) as orders,
        {{ money('sum(sales.net_sales)') }} as net_sales
    from members
    inner join sales on members.customer_id = sales.customer_id
    group by members.cohort_month, months_since_first
),

final as (
    select
        active.cohort_month,
        active.months_since_first,
        sizes.customers,
        active.active_customers,
        active.orders,
        active.net_sales
    from active
    inner join sizes on active.cohort_month = sizes.cohort_month
)

select * from final
