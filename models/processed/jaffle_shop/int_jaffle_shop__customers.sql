with

customers as (
    select * from {{ ref('stg_jaffle_shop__customers') }}
    where id is not null
),

-- The row landed last is the truth.
newest as (
    select * from customers
    qualify row_number() over (
        partition by id
        order by {{ natural_sort_key('_source_file') }} desc, _cursor_version desc, _source_row desc
    ) = 1
),

final as (
    select
        id as customer_id,
        first_name,
        last_name
    from newest
)

select * from final
