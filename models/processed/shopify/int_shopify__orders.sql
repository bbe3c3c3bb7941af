{{ config(unique_key='order_id') }}

with

newest as (
    {{ newest_of('shopify', 'orders') }}
),

-- Every version but a tombstone says when the order was placed.
contents as (
    {{ newest_of('shopify', 'orders', '(deleted_at is null or created_at is not null)') }}
),

lines as (
    select * from {{ follow(ref('int_shopify__order_lines'), 'order_id') }}
),

line_sums as (
    select
        order_id,
        cast(sum(quantity) as bigint) as units,
        sum(exact_gross_sales) as gross_sales,
        sum(exact_tax) as tax,
        sum(exact_tax_within_discount) as tax_within_discount
    from lines
    group by order_id
),

combined as (
    select
        contents.*,
        newest.id as order_id,
        newest.deleted_at is not null as is_deleted,
        contents.id is not null as has_content,
        coalesce(contents.taxes_included, false) as prices_include_tax,
        coalesce(line_sums.units, 0) as units,
        -- A sum of what is within discounts is exact to six places: see tax_within().
        case
            when line_sums.tax_within_discount != 0 then round(line_sums.gross_sales, 6)
            else coalesce(line_sums.gross_sales, 0)
        end as line_gross_sales,
        coalesce(line_sums.tax, 0) as line_tax,
        coalesce(round(line_sums.tax_within_discount, 6), 0) as tax_within_discount,
        coalesce({{ exact('contents.total_shipping_price_set.shop_money.amount') }}, 0)
            as shipping_price,
        coalesce(list_sum(list_transform(
            contents.shipping_lines,
            lambda line: list_sum(list_transform(
                line.discount_allocations, lambda allocation: {{ exact('allocation.amount') }}
            ))
        )), 0) as shipping_discount,
        coalesce({{ exact('contents.total_tax') }}, 0) as tax
    from newest
    left join contents on newest.id = contents.id
    left join line_sums on newest.id = line_sums.order_id
),

final as (
    select
        order_id,
        name as order_name,
        coalesce(customer.id, customer_id) as customer_id,
        email,
        -- Shopify's reports go by processed_at; an imported order has one of its own.
        coalesce(processed_at, created_at) as order_date,
        updated_at as order_updated_at,
        cancelled_at,
        cancel_reason,
        is_deleted,
        if(has_content, coalesce(test, false), null) as is_test_order,
        financial_status,
        fulfillment_status,
        currency,
        if(has_content, prices_include_tax, null) as taxes_included,
        if(has_content, units, null) as units,
        if(has_content, {{ money('line_gross_sales') }}, null) as gross_sales,
        {{ money(exact('total_discounts') ~ ' - shipping_discount - tax_within_discount') }}
            as discounts,
        -- What the lines do not account for of the order's tax is the tax on shipping.
        if(
            has_content,
            {{ money(
                'shipping_price - shipping_discount - if(prices_include_tax, tax - line_tax, 0)'
            ) }},
            null
        ) as shipping,
        {{ money(exact('total_tax')) }} as taxes,
        {{ money(exact('total_tip_received')) }} as tips,
        {{ money(exact('total_price')) }} as total_price,
        {{ money(exact('current_total_price')) }} as current_total_price,
        source_name,
        shipping_address.country_code as shipping_country,
        list_transform(discount_codes, lambda discount: discount.code) as discount_codes,
        checkout_id
    from combined
)

select * from final
