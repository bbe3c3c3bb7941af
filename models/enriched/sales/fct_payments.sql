{{ config(unique_key='transaction_id') }}

with

transactions as (
    select * from {{ follow(ref('int_shopify__transactions'), 'transaction_id') }}
    where status = 'success'
),

final as (
    select
        transaction_id,
        order_id,
        parent_transaction_id,
        processed_at,
        {{ shop_day('processed_at') }} as payment_day,
        kind,
        gateway,
        currency,
        if(kind = 'refund', -amount, amount) as amount,
        if(kind = 'refund', -exact_amount, exact_amount) as exact_amount,
        is_test
    from transactions
)

select * from final
