-- What the orders of each discount code earned after what their goods cost, those that lost most
-- first, per currency. Lines whose cost is not known in it have no margin. An order with two codes
-- counts for both, so codes do not add up.
with

codes as (
    select * from {{ ref('fct_discount_codes') }}
    where orders > 0
),

order_codes as (
    select
        order_id,
        currency,
        unnest(list_distinct(discount_codes)) as code
    from {{ ref('fct_sales') }}
    where is_counted
),

order_lines as (
    select
        *,
        cost is not null and coalesce(unit_cost_currency, currency) = currency as has_margin
    from {{ ref('fct_order_lines') }}
),

order_margins as (
    select
        order_id,
        sum(gross_margin) filter (has_margin) as gross_margin,
        sum(cost) filter (has_margin) as cost,
        count(*) filter (not has_margin) as lines_without_margin
    from order_lines
    group by order_id
),

code_margins as (
    select
        order_codes.code,
        order_codes.currency,
        sum(order_margins.cost) as cost_of_goods,
        sum(order_margins.gross_margin) as gross_margin,
        cast(coalesce(sum(order_margins.lines_without_margin), 0) as bigint)
            as lines_without_margin
    from order_codes
    left join order_margins on order_codes.order_id = order_margins.order_id
    group by order_codes.code, order_codes.currency
),

final as (
    select
        codes.code,
        codes.currency,
        codes.orders,
        codes.net_sales,
        code_margins.gross_margin,
        round(code_margins.gross_margin / codes.orders, 2) as margin_per_order,
        codes.gross_sales,
        codes.discounts,
        code_margins.cost_of_goods,
        code_margins.lines_without_margin,
        codes.new_customer_orders,
        codes.abandoned_checkouts,
        codes.discount_status
    from codes
    inner join code_margins
        on
            codes.code = code_margins.code
            and codes.currency is not distinct from code_margins.currency
)

select * from final
order by
    sum(orders) over (partition by currency) desc,
    currency,
    gross_margin nulls last,
    code
