with

-- What is authorized, voided or a test moves no money.
payments as (
    select * from {{ ref('fct_payments') }}
    where kind in ('sale', 'capture', 'refund') and payment_day is not null and not is_test
),

final as (
    select
        payment_day as day,
        gateway,
        currency,
        {{ money("coalesce(sum(exact_amount) filter (kind != 'refund'), 0)") }} as payments,
        {{ money("coalesce(-sum(exact_amount) filter (kind = 'refund'), 0)") }} as refunds,
        {{ money('coalesce(sum(exact_amount), 0)') }} as net_amount,
        count(*) as transactions
    from payments
    group by payment_day, gateway, currency
)

select * from final
