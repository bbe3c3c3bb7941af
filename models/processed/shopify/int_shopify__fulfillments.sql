{{ config(unique_key='fulfillment_id') }}

with

newest as (
    {{ newest_of('shopify', 'fulfillments') }}
),

final as (
    select
        id as fulfillment_id,
        order_id,
        location_id,
        name as fulfillment_name,
        status,
        shipment_status,
        tracking_company,
        service,
        cast(coalesce(
            list_sum(list_transform(line_items, lambda line: line.quantity)), 0
        ) as bigint) as units,
        created_at,
        updated_at
    from newest
)

select * from final
