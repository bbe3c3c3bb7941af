-- Good customers who are late: they have bought at least three times in a currency, and nothing in
-- any for more than twice their own usual time between orders. Those who may be written to come
-- first, then those who have spent most among the customers of their currency.
with

customers as (
    select
        *,
        max(last_order_at) over (partition by customer_id) as last_order_in_any_currency_at
    from {{ ref('dim_customers') }}
),

latest as (
    select max(last_order_at) as as_of from customers
),

rhythms as (
    select
        customers.*,
        date_diff('day', customers.last_order_in_any_currency_at, latest.as_of)
            as days_since_last_order
    from customers
    cross join latest
    where customers.orders >= 3
),

final as (
    select
        email,
        currency,
        orders,
        net_sales,
        round(average_days_between_orders, 1) as usual_days_between_orders,
        days_since_last_order,
        coalesce(email_consent = 'SUBSCRIBED', false) as may_be_emailed,
        first_name,
        last_name,
        segment,
        monetary_score,
        predicted_clv,
        last_event_at,
        customer_id
    from rhythms
    where days_since_last_order > 2 * greatest(average_days_between_orders, 1)
)

select * from final
order by
    may_be_emailed desc,
    monetary_score desc,
    orders desc,
    customer_id,
    currency
