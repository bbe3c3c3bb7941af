with

sales as (
    select * from {{ ref('fct_sales') }} where is_counted
),

checkouts as (
    select * from {{ ref('fct_abandoned_checkouts') }}
),

discount_codes as (
    select * from {{ ref('int_shopify__discount_codes') }}
),

-- An order with two codes counts for both, and once for a code that it has twice.
uses as (
    select
        unnest(list_distinct(discount_codes)) as code,
        * exclude (discount_codes)
    from sales
),

first_orders as (
    select
        min_by(
            order_id, create_sort_key(order_date, 'asc nulls last', order_id, 'asc nulls last')
        ) as order_id
    from sales
    where customer_id in (select customer_id from uses)
    group by customer_id
),

code_sales as (
    select
        code,
        currency,
        count(*) as orders,
        count(*) filter (order_id in (select order_id from first_orders)) as new_customer_orders,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(net_sales) as net_sales
    from uses
    group by code, currency
),

checkout_uses as (
    select
        unnest(list_distinct(discount_codes)) as code,
        currency
    from checkouts
),

code_checkouts as (
    select
        code,
        currency,
        count(*) as checkouts
    from checkout_uses
    group by code, currency
),

-- Shopify takes a code in capitals and small letters for the same.
latest_discounts as (
    select * from discount_codes
    qualify row_number() over (
        partition by lower(code) order by updated_at desc nulls last, discount_code_id desc
    ) = 1
),

combined as (
    select
        coalesce(code_sales.code, code_checkouts.code) as code,
        coalesce(code_sales.currency, code_checkouts.currency) as currency,
        coalesce(code_sales.orders, 0) as orders,
        coalesce(code_sales.new_customer_orders, 0) as new_customer_orders,
        coalesce(code_sales.gross_sales, 0) as gross_sales,
        coalesce(code_sales.discounts, 0) as discounts,
        coalesce(code_sales.net_sales, 0) as net_sales,
        coalesce(code_checkouts.checkouts, 0) as abandoned_checkouts
    from code_sales
    full join code_checkouts
        on
            code_sales.code = code_checkouts.code
            and code_sales.currency is not distinct from code_checkouts.currency
),

final as (
    select
        combined.code,
        combined.currency,
        latest_discounts.title as discount_title,
        latest_discounts.discount_type,
        latest_discounts.status as discount_status,
        combined.orders,
        combined.new_customer_orders,
        {{ money('combined.gross_sales') }} as gross_sales,
        {{ money('combined.discounts') }} as discounts,
        {{ money('combined.net_sales') }} as net_sales,
        {{ money_average('(combined.gross_sales - combined.discounts)', 'combined.orders') }}
            as average_order_value,
        combined.abandoned_checkouts
    from combined
    left join latest_discounts on lower(combined.code) = lower(latest_discounts.code)
)

select * from final
