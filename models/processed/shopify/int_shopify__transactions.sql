{{ config(unique_key='transaction_id') }}

with

newest as (
    {{ newest_of('shopify', 'transactions') }}
),

final as (
    select
        id as transaction_id,
        order_id,
        parent_id as parent_transaction_id,
        -- One of the connector's two ways to read them writes these in capitals.
        lower(kind) as kind,
        lower(status) as status,
        gateway,
        currency,
        {{ money(exact('amount')) }} as amount,
        {{ exact('amount') }} as exact_amount,
        coalesce(test, false) as is_test,
        error_code,
        source_name,
        created_at,
        coalesce(processed_at, created_at) as processed_at
    from newest
)

select * from final
