with

daily_sales as (
    select * from {{ ref('fct_daily_sales') }}
),

movements as (
    select * from {{ ref('fct_sales_ledger') }}
    where line_type = 'product' and sale_day is not null
),

variants as (
    select * from {{ ref('int_shopify__product_variants') }}
),

inventory_items as (
    select * from {{ ref('int_shopify__inventory_items') }}
),

payments as (
    select * from {{ ref('fct_payments') }} where kind = 'refund' and not is_test
),

marketing as (
    select * from {{ ref('fct_daily_marketing') }}
),

sold as (
    select
        sale_day as day,
        currency,
        variant_id,
        sum(quantity) as quantity
    from movements
    group by sale_day, currency, variant_id
),

-- What a variant costs today; one whose cost nobody has entered costs nothing.
amounts as (
    select
        sold.day,
        sold.currency,
        sum(sold.quantity * inventory_items.exact_unit_cost) as cost_of_goods
    from sold
    inner join variants on sold.variant_id = variants.variant_id
    inner join inventory_items on variants.inventory_item_id = inventory_items.inventory_item_id
    group by sold.day, sold.currency
    union all by name
    select
        sale_day as day,
        currency,
        net_sales,
        shipping,
        new_customers
    from daily_sales
    union all by name
    select
        {{ shop_day('processed_at') }} as day,
        currency,
        -amount as payment_refunds
    from payments
    where processed_at is not null
    union all by name
    select
        day,
        currency,
        cost as ad_spend
    from marketing
    where day is not null
),

summed as (
    select
        day,
        currency,
        coalesce(sum(net_sales), 0) as net_sales,
        {{ money('coalesce(sum(cost_of_goods), 0)') }} as cost_of_goods,
        coalesce(sum(shipping), 0) as shipping,
        coalesce(sum(payment_refunds), 0) as payment_refunds,
        coalesce(sum(ad_spend), 0) as ad_spend,
        coalesce(sum(new_customers), 0) as new_customers
    from amounts
    group by day, currency
),

final as (
    select
        day,
        currency,
        {{ money('net_sales') }} as net_sales,
        cost_of_goods,
        {{ money('shipping') }} as shipping,
        {{ money('payment_refunds') }} as payment_refunds,
        {{ money('ad_spend') }} as ad_spend,
        {{ money('net_sales - cost_of_goods') }} as gross_margin,
        {{ money('net_sales - cost_of_goods - ad_spend') }} as contribution_margin,
        cast(new_customers as bigint) as new_customers,
        {{ money_average('ad_spend', 'new_customers') }} as customer_acquisition_cost,
        cast(net_sales as double) / nullif(cast(ad_spend as double), 0)
            as marketing_efficiency_ratio
    from summed
)

select * from final
