{{ config(unique_key='refund_id') }}

{% set shipping_refunds =
    "list_filter(order_adjustments, lambda adjustment: adjustment.kind = 'shipping_refund')"
%}
{% set discrepancies = shipping_refunds | replace(" = ", " is distinct from ") %}

with

newest as (
    {{ newest_of('shopify', 'order_refunds') }}
),

summed as (
    select
        *,
        coalesce(list_sum(list_transform(
            refund_line_items, lambda line: {{ exact('line.subtotal') }}
        )), 0) as merchandise,
        coalesce(list_sum(list_transform(
            refund_line_items, lambda line: {{ exact('line.total_tax') }}
        )), 0) as line_tax,
        -- Adjustments are negative: they lower what the order was worth.
        coalesce(-list_sum(list_transform(
            {{ shipping_refunds }}, lambda adjustment: {{ exact('adjustment.amount') }}
        )), 0) as shipping,
        coalesce(-list_sum(list_transform(
            {{ shipping_refunds }}, lambda adjustment: {{ exact('adjustment.tax_amount') }}
        )), 0) as shipping_tax,
        coalesce(-list_sum(list_transform(
            {{ discrepancies }}, lambda adjustment: {{ exact('adjustment.amount') }}
        )), 0) as discrepancy,
        coalesce(-list_sum(list_transform(
            {{ discrepancies }}, lambda adjustment: {{ exact('adjustment.tax_amount') }}
        )), 0) as discrepancy_tax,
        coalesce(list_sum(list_transform(
            list_filter(
                transactions,
                lambda payment: payment.kind = 'refund' and payment.status = 'success'
            ),
            lambda payment: {{ exact('payment.amount') }}
        )), 0) as refunded
    from newest
),

final as (
    select
        id as refund_id,
        order_id,
        coalesce(processed_at, created_at) as refunded_at,
        cast(coalesce(
            list_sum(list_transform(refund_line_items, lambda line: line.quantity)), 0
        ) as bigint) as returned_quantity,
        {{ money('merchandise') }} as returned_merchandise,
        {{ money('line_tax + shipping_tax') }} as returned_taxes,
        {{ money('line_tax') }} as returned_line_taxes,
        {{ money('shipping') }} as returned_shipping,
        {{ money('discrepancy') }} as refund_discrepancy,
        {{ money('discrepancy_tax') }} as refund_discrepancy_taxes,
        {{ money('refunded') }} as refunded_amount
    from summed
)

select * from final
