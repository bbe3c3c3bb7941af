with

orders as (
    select * from {{ ref('stg_jaffle_shop__orders') }}
    where id is not null
),

-- The row landed last is the truth.
newest as (
    select * from orders
    qualify row_number() over (
        partition by id
        order by {{ natural_sort_key('_source_file') }} desc, _cursor_version desc, _source_row desc
    ) = 1
),

final as (
    select
        id as order_id,
        user_id as customer_id,
        order_date,
        status
    from newest
)

select * from final
