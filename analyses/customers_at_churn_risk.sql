-- Good customers who are late: they have bought at least three times, and have been silent for more
-- than twice their own usual time between orders. Those who may be written to come first.
with

customers as (
    select * from {{ ref('dim_customers') }}
    where orders >= 3
),

latest as (
    select max(last_order_at) as as_of from customers
),

rhythms as (
    select
        customers.*,
        date_diff('day', customers.first_order_at, customers.last_order_at)
        / (customers.orders - 1) as usual_days_between_orders,
        date_diff('day', customers.last_order_at, latest.as_of) as days_since_last_order
    from customers
    cross join latest
),

final as (
    select
        customer_id,
        email,
        first_name,
        last_name,
        orders,
        net_sales,
        predicted_clv,
        round(usual_days_between_orders, 1) as usual_days_between_orders,
        days_since_last_order,
        last_event_at,
        coalesce(email_consent = 'SUBSCRIBED', false) as may_be_emailed
    from rhythms
    where days_since_last_order > 2 * greatest(usual_days_between_orders, 1)
)

select * from final
order by may_be_emailed desc, net_sales desc, customer_id
limit 200
