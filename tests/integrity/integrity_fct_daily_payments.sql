-- Per gateway and currency, the days add up to the transactions that moved money; a day rounds by
-- half a cent, and so does a transaction.
with

payments as (
    select * from {{ ref('fct_payments') }}
    where kind in ('sale', 'capture', 'refund') and payment_day is not null and not is_test
),

expected as (
    select
        gateway,
        currency,
        count(*) as transactions,
        sum(amount) filter (kind != 'refund') as payments,
        -sum(amount) filter (kind = 'refund') as refunds,
        sum(amount) as net_amount
    from payments
    group by gateway, currency
),

actual as (
    select
        gateway,
        currency,
        count(*) as days,
        sum(transactions) as transactions,
        sum(payments) as payments,
        sum(refunds) as refunds,
        sum(net_amount) as net_amount
    from {{ ref('fct_daily_payments') }}
    group by gateway, currency
),

compared as (
    select
        coalesce(expected.gateway, actual.gateway) as gateway,
        coalesce(expected.currency, actual.currency) as currency,
        0.005 * (coalesce(expected.transactions, 0) + coalesce(actual.days, 0)) as rounding,
        coalesce(expected.transactions, 0) - coalesce(actual.transactions, 0) as transactions,
        coalesce(expected.payments, 0) - coalesce(actual.payments, 0) as payments,
        coalesce(expected.refunds, 0) - coalesce(actual.refunds, 0) as refunds,
        coalesce(expected.net_amount, 0) - coalesce(actual.net_amount, 0) as net_amount
    from expected
    full join actual
        on
            expected.gateway is not distinct from actual.gateway
            and expected.currency is not distinct from actual.currency
)

select * from compared
where
    transactions != 0
    or abs(payments) > rounding
    or abs(refunds) > rounding
    or abs(net_amount) > rounding
