{% call(changed) recompute('customer_id', [ref('stg_jaffle_shop__customers')]) %}
    select id as customer_id from {{ changed.stg_jaffle_shop__customers }}
{% endcall %}

with

customers as (
    select * from {{ ref('stg_jaffle_shop__customers') }}
    where id is not null and {{ to_recompute('id') }}
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
