-- The lines of an order add up to its row in fct_sales; returns do without what a refund gave back
-- on top, and without lines that are not the order's.
with

lines as (
    select
        order_id,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(returns) as returns
    from {{ ref('fct_order_lines') }}
    group by order_id
),

other_returns as (
    select
        ledger.order_id,
        sum(ledger.returns) as returns
    from {{ ref('fct_sales_ledger') }} as ledger
    left join {{ ref('fct_order_lines') }} as known
        on ledger.order_id = known.order_id and ledger.order_line_id = known.order_line_id
    where ledger.movement = 'return' and known.order_id is null
    group by ledger.order_id
)

select
    sales.order_id,
    sales.gross_sales - lines.gross_sales as gross_sales,
    sales.discounts - lines.discounts as discounts,
    sales.returns - lines.returns - coalesce(other_returns.returns, 0) as returns
from lines
left join {{ ref('fct_sales') }} as sales on lines.order_id = sales.order_id
left join other_returns on lines.order_id = other_returns.order_id
where
    (
        sales.gross_sales - lines.gross_sales,
        sales.discounts - lines.discounts,
        sales.returns - lines.returns - coalesce(other_returns.returns, 0)
    ) is distinct from (0, 0, 0)
