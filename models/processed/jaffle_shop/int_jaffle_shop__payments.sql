with

payments as (
    select * from {{ ref('stg_jaffle_shop__payments') }}
    where id is not null
),

-- The row landed last is the truth.
newest as (
    select * from payments
    qualify row_number() over (
        partition by id
        order by {{ natural_sort_key('_source_file') }} desc, _cursor_version desc, _source_row desc
    ) = 1
),

final as (
    select
        id as payment_id,
        order_id,
        payment_method,
        -- Landed in cents.
        cast(amount * 0.01 as decimal(18, 2)) as amount
    from newest
)

select * from final
