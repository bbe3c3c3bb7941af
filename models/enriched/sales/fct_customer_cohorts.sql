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

sizes as (
    select
        cohort_month,
        count(*) as customers
    from first_months
    group by cohort_month
),

active as (
    select
        first_months.cohort_month,
        datediff('month', first_months.cohort_month, sales.order_day) as months_since_first,
        count(distinct sales.customer_id) as active_customers,
        count(*) as orders,
        {{ money('sum(sales.net_sales)') }} as net_sales
    from first_months
    inner join sales on first_months.customer_id = sales.customer_id
    group by first_months.cohort_month, months_since_first
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
