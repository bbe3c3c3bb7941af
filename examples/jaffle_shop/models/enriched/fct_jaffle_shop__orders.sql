with

orders as (
    select * from {{ ref('int_jaffle_shop__orders') }}
),

payments as (
    select * from {{ ref('int_jaffle_shop__payments') }}
),

order_payments as (
    select
        order_id,
        sum(amount) filter (where payment_method = 'credit_card') as credit_card_amount,
        sum(amount) filter (where payment_method = 'coupon') as coupon_amount,
        sum(amount) filter (where payment_method = 'bank_transfer') as bank_transfer_amount,
        sum(amount) filter (where payment_method = 'gift_card') as gift_card_amount,
        sum(amount) as amount
    from payments
    group by order_id
),

final as (
    select
        orders.order_id,
        orders.customer_id,
        orders.order_date,
        orders.status,
        {{ money('coalesce(order_payments.credit_card_amount, 0)') }} as credit_card_amount,
        {{ money('coalesce(order_payments.coupon_amount, 0)') }} as coupon_amount,
        {{ money('coalesce(order_payments.bank_transfer_amount, 0)') }} as bank_transfer_amount,
        {{ money('coalesce(order_payments.gift_card_amount, 0)') }} as gift_card_amount,
        {{ money('coalesce(order_payments.amount, 0)') }} as amount
    from orders
    left join order_payments on orders.order_id = order_payments.order_id
)

select * from final
