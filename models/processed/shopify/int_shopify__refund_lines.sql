{{ config(unique_key='refund_id') }}

with

newest as (
    {{ newest_of('shopify', 'order_refunds') }}
),

lines as (
    select
        id as refund_id,
        order_id,
        coalesce(processed_at, created_at) as refunded_at,
        unnest(refund_line_items) as line,
        generate_subscripts(refund_line_items, 1) as line_number
    from newest
),

final as (
    select
        refund_id,
        line_number,
        order_id,
        refunded_at,
        line.line_item_id as order_line_id,
        coalesce(line.quantity, 0) as quantity,
        coalesce({{ money(exact('line.subtotal')) }}, 0) as subtotal,
        coalesce({{ money(exact('line.total_tax')) }}, 0) as tax
    from lines
    where line is not null
)

select * from final
