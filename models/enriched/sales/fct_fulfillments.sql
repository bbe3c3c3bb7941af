{{ config(unique_key='order_id') }}

with

fulfillments as (
    select * from {{ follow(ref('int_shopify__fulfillments'), 'order_id') }}
    where order_id is not null
),

orders as (
    select * from {{ follow(ref('int_shopify__orders'), 'order_id') }}
),

final as (
    select
        fulfillments.fulfillment_id,
        fulfillments.order_id,
        fulfillments.fulfillment_name,
        fulfillments.location_id,
        fulfillments.created_at,
        fulfillments.status,
        fulfillments.shipment_status,
        fulfillments.tracking_company,
        fulfillments.units,
        (epoch_us(fulfillments.created_at) - epoch_us(orders.order_date)) / 3600000000
            as hours_to_fulfil
    from fulfillments
    left join orders on fulfillments.order_id = orders.order_id
)

select * from final
