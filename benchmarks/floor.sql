-- The lake's first load as one would write it by hand for this one load: no SQL of the models, no
-- ledger, nothing that a second load would need. `staging` has been read from the landed files.

create macro cents(amount) as round(amount::decimal(38, 6), 2)::decimal(18, 2);

create table int_orders as
with newest as (
    select
        id,
        max_by(rowid, version) filter (where created_at is not null) as content,
        -- Not max_by(deleted_at, …), which passes over nulls.
        max_by(deleted_at is not null, version) as is_deleted
    from (
        select
            id, rowid, created_at, deleted_at,
            (coalesce(updated_at, deleted_at), _airbyte_extracted_at, _airbyte_raw_id) as version
        from staging.shopify_orders
    )
    group by id
)

select
    newest.id as order_id, newest.is_deleted, name as order_name, customer.id as customer_id, email,
    coalesce(processed_at, created_at) as order_date, updated_at as order_updated_at, cancelled_at,
    cancel_reason,
    test as is_test_order, financial_status, fulfillment_status, currency, taxes_included,
    line_items, total_discounts, total_shipping_price_set.shop_money.amount as shipping_price,
    coalesce(list_sum(flatten([
        [allocation.amount::decimal(18, 6) for allocation in line.discount_allocations]
        for line in shipping_lines
    ])), 0) as shipping_discount,
    total_tax, cents(total_tip_received) as tips, cents(total_price) as total_price, source_name,
    shipping_address.country_code as shipping_country, checkout_id,
    [discount.code for discount in discount_codes] as discount_codes
from newest
left join staging.shopify_orders as landed on newest.content = landed.rowid;

create table int_order_lines as
with lines as (
    select order_id, is_deleted, order_date, taxes_included, unnest(line_items) as line
    from int_orders
),

amounts as (
    select
        *,
        coalesce(list_sum([tax.price::decimal(18, 6) for tax in line.tax_lines]), 0) as tax,
        list_sum([tax.rate::decimal(18, 6) for tax in line.tax_lines]) as rate,
        coalesce(if(
            len(line.discount_allocations) > 0,
            list_sum([allocation.amount::decimal(18, 6) for allocation in line.discount_allocations]),
            line.total_discount
        ), 0) as price_discount,
        if(taxes_included, coalesce(round(price_discount * rate / (1 + rate), 6), 0), 0)
            ::decimal(18, 6) as within
    from lines
)

select
    line.id as order_line_id, order_id, line.product_id, line.variant_id, line.sku, line.title,
    line.variant_title, line.vendor, line.quantity, cents(line.price) as unit_price,
    cents(price_discount - within) as discount, cents(tax) as tax, within,
    line.gift_card as is_gift_card,
    line.price::decimal(18, 6) * line.quantity - if(taxes_included, tax + within, 0) as gross_sales
from amounts;

create table int_refunds as
with newest as (
    select max_by(rowid, (created_at, _airbyte_extracted_at, _airbyte_raw_id)) as rowid
    from staging.shopify_order_refunds
    group by id
),

refunds as (
    select
        *,
        [adjustment for adjustment in order_adjustments if adjustment.kind = 'shipping_refund']
            as of_shipping,
        [adjustment for adjustment in order_adjustments if adjustment.kind <> 'shipping_refund']
            as others
    from staging.shopify_order_refunds
    semi join newest using (rowid)
)

select
    id as refund_id, order_id, coalesce(processed_at, created_at) as refunded_at,
    refund_line_items,
    cents(coalesce(list_sum([line.total_tax for line in refund_line_items]), 0))
        as returned_line_taxes,
    cents(-coalesce(list_sum([adjustment.amount::double for adjustment in others]), 0))
        as refund_discrepancy,
    cents(-coalesce(list_sum([adjustment.tax_amount::double for adjustment in others]), 0))
        as refund_discrepancy_taxes,
    coalesce(list_sum([line.quantity for line in refund_line_items]), 0)::bigint
        as returned_quantity,
    cents(coalesce(list_sum([line.subtotal for line in refund_line_items]), 0))
        as returned_merchandise,
    cents(coalesce(list_sum([line.total_tax for line in refund_line_items]), 0)
        - coalesce(list_sum([adjustment.tax_amount::double for adjustment in of_shipping]), 0))
        as returned_taxes,
    cents(-coalesce(list_sum([adjustment.amount::double for adjustment in of_shipping]), 0))
        as returned_shipping,
    cents(coalesce(list_sum([
        payment.amount::double for payment in transactions
        if payment.kind = 'refund' and payment.status = 'success'
    ]), 0)) as refunded_amount
from refunds;

create table int_customers as
with newest as (
    select max_by(rowid, (updated_at, _airbyte_extracted_at, _airbyte_raw_id)) as rowid
    from staging.shopify_customers
    group by id
)

select id as customer_id, * exclude (id) from staging.shopify_customers semi join newest using (rowid);

create table int_profiles as
with newest as (
    select max_by(rowid, (updated, _airbyte_extracted_at, _airbyte_raw_id)) as rowid
    from staging.klaviyo_profiles
    group by id
)

select
    id as profile_id, attributes.email, attributes.phone_number, attributes.first_name,
    attributes.last_name, attributes.location, attributes.predictive_analytics,
    attributes.subscriptions.email.marketing.consent as email_consent, attributes.last_event_date,
    attributes.created as created_at, updated as updated_at
from staging.klaviyo_profiles
semi join newest using (rowid);

create table int_events as
with newest as (
    select max_by(rowid, (datetime, _airbyte_extracted_at, _airbyte_raw_id)) as rowid
    from staging.klaviyo_events
    group by id
)

select
    id as event_id, relationships.profile.data.id as profile_id,
    relationships.metric.data.id as metric_id, datetime as event_at,
    attributes.event_properties as properties,
    json_extract_string(properties, [
        '$."$message"', '$."$flow"', '$."$value"', '$."$event_id"', '$."$currency_code"'
    ]) as special,
    special[1] as message_id, special[2] as flow_id, special[3]::decimal(18, 6) as event_value,
    try_cast(special[4] as bigint) as order_id, special[5] as currency
from staging.klaviyo_events
semi join newest using (rowid);

create table int_campaigns as
select
    id as campaign_id, attributes.name, attributes.status, attributes.send_time as sent_at,
    list_distinct([id, attributes.message]
        || [related.id for related in relationships.campaign_messages.data]) as message_ids
from staging.klaviyo_campaigns
qualify row_number() over (partition by id order by updated_at desc, _airbyte_raw_id desc) = 1;

create table int_flows as
select id as flow_id, attributes.name, attributes.status
from staging.klaviyo_flows
qualify row_number() over (partition by id order by updated desc, _airbyte_raw_id desc) = 1;

create table int_metrics as
select id as metric_id, attributes.name
from staging.klaviyo_metrics
qualify _airbyte_generation_id = max(_airbyte_generation_id) over ();

create macro newest(landed) as table
select * exclude (_airbyte_meta) from query_table(landed)
qualify row_number() over (
    partition by id order by updated_at desc, _airbyte_extracted_at desc, _airbyte_raw_id desc
) = 1;

create table int_products as from newest('staging.shopify_products');
create table int_variants as from newest('staging.shopify_product_variants');
create table int_inventory_items as from newest('staging.shopify_inventory_items');
create table int_inventory_levels as from newest('staging.shopify_inventory_levels');
create table int_locations as from newest('staging.shopify_locations');
create table int_discount_codes as from newest('staging.shopify_discount_codes');
create table int_checkouts as from newest('staging.shopify_abandoned_checkouts');
create table int_fulfillments as from newest('staging.shopify_fulfillments');

create table int_transactions as
with newest as (
    select max_by(rowid, (created_at, _airbyte_extracted_at, _airbyte_raw_id)) as rowid
    from staging.shopify_transactions
    group by id
)

select * from staging.shopify_transactions semi join newest using (rowid);

create table int_spend as
select * from staging.ads_spend
qualify row_number() over (
    partition by date, platform, campaign, currency order by filename desc
) = 1;

create table fct_sales as
with lines as (
    select
        order_id, sum(quantity) as units, sum(gross_sales) as gross_sales, sum(tax) as tax,
        sum(within) as within
    from int_order_lines
    group by order_id
),

refunds as (
    select
        order_id, sum(returned_merchandise + refund_discrepancy) as returns,
        sum(returned_line_taxes) as line_taxes, sum(returned_shipping) as shipping,
        sum(returned_taxes + refund_discrepancy_taxes) as taxes,
        sum(refunded_amount) as refunded_amount
    from int_refunds
    group by order_id
),

sold as (
    select
        *,
        cents(lines.gross_sales) as gross,
        cents(total_discounts - shipping_discount - lines.within) as discounts,
        cents(shipping_price - shipping_discount
            - if(taxes_included, total_tax - lines.tax, 0)) as sold_shipping,
        cents(total_tax) as sold_taxes,
        coalesce(refunds.returns, 0) - if(taxes_included, coalesce(refunds.line_taxes, 0), 0)
            as returned
    from int_orders
    left join lines using (order_id)
    left join refunds using (order_id)
    where not is_deleted
)

select
    order_id, order_name, customer_id, email, order_date, order_date::date as order_day,
    cancelled_at, cancel_reason, is_test_order, not is_test_order and cancelled_at is null
        as is_counted,
    financial_status, fulfillment_status, currency, taxes_included, source_name,
    shipping_country, discount_codes, checkout_id, units, tips, sold_shipping, sold_taxes,
    gross as gross_sales, discounts, returned as returns,
    gross - discounts - returned as net_sales,
    sold_shipping - coalesce(shipping, 0) as shipping,
    sold_taxes - coalesce(taxes, 0) as taxes,
    gross - discounts - returned + sold_shipping - coalesce(shipping, 0)
        + sold_taxes - coalesce(taxes, 0) as total_sales,
    coalesce(refunded_amount, 0) as refunded_amount
from sold;

create table fct_sales_ledger as
with lines as (
    select
        lines.*, taxes_included, order_date,
        cents(lines.gross_sales) as gross,
        row_number() over by_order = 1 as is_largest,
        sum(cents(lines.gross_sales)) over whole_order as all_gross,
        sum(lines.discount) over whole_order as all_discounts,
        sales.gross_sales as order_gross, sales.discounts as order_discounts
    from int_order_lines as lines
    inner join fct_sales as sales using (order_id)
    where not is_test_order
    window
        by_order as (partition by order_id order by unit_price * quantity desc, order_line_id),
        whole_order as (partition by order_id)
),

taxes as (select order_id, sum(tax) as taxes from lines group by order_id),

refunds as (
    select refunds.*, taxes_included
    from int_refunds as refunds
    inner join fct_sales using (order_id)
    where not is_test_order
),

refund_lines as (
    select * exclude (refund_line_items), unnest(refund_line_items) as line,
        generate_subscripts(refund_line_items, 1) as line_number
    from refunds
),

movements as (
    select
        order_id, order_date as happened_at, 'sale' as movement,
        if(is_gift_card, 'gift_card', 'product') as line_type, order_line_id, product_id,
        variant_id, quantity,
        gross + if(is_largest, order_gross - all_gross, 0) as gross_sales,
        discount + if(is_largest, order_discounts - all_discounts, 0) as discounts, tax as taxes
    from lines
    union all by name
    select order_id, order_date as happened_at, 'sale' as movement, 'shipping' as line_type,
        sold_shipping as shipping, sold_taxes - coalesce(taxes.taxes, 0) as taxes
    from fct_sales
    left join taxes using (order_id)
    where not is_test_order and (sold_shipping, sold_taxes) <> (0, coalesce(taxes.taxes, 0))
    union all by name
    select order_id, order_date as happened_at, 'sale' as movement, 'tip' as line_type, tips
    from fct_sales
    where not is_test_order and tips <> 0
    union all by name
    select refund_lines.order_id, refunded_at as happened_at, 'return' as movement,
        if(coalesce(lines.is_gift_card, false), 'gift_card', 'product') as line_type,
        line.line_item_id as order_line_id, product_id, variant_id, -line.quantity as quantity,
        cents(line.subtotal) - if(refund_lines.taxes_included, cents(line.total_tax), 0) as returns,
        -cents(line.total_tax) as taxes
    from refund_lines
    left join lines
        on refund_lines.order_id = lines.order_id and line.line_item_id = lines.order_line_id
    union all by name
    select order_id, refunded_at as happened_at, 'return' as movement, 'shipping' as line_type,
        -returned_shipping as shipping, returned_line_taxes - returned_taxes as taxes
    from refunds
    where returned_shipping <> 0 or returned_taxes <> returned_line_taxes
    union all by name
    select order_id, refunded_at as happened_at, 'return' as movement, 'adjustment' as line_type,
        refund_discrepancy as returns, -refund_discrepancy_taxes as taxes
    from refunds
    where refund_discrepancy <> 0
),

filled as (
    select * replace (
        coalesce(quantity, 0) as quantity, coalesce(gross_sales, 0) as gross_sales,
        coalesce(discounts, 0) as discounts, coalesce(returns, 0) as returns,
        coalesce(shipping, 0) as shipping, coalesce(taxes, 0) as taxes, coalesce(tips, 0) as tips
    )
    from movements
),

cancelled as (
    select
        order_id, any_value(cancelled_at) as happened_at, 'cancellation' as movement, line_type,
        order_line_id, any_value(product_id) as product_id, any_value(variant_id) as variant_id,
        -sum(quantity) as quantity, 0 as gross_sales, 0 as discounts,
        sum(filled.gross_sales - filled.discounts - filled.returns) as returns,
        -sum(filled.shipping) as shipping, -sum(filled.taxes) as taxes, -sum(filled.tips) as tips
    from filled
    inner join fct_sales using (order_id)
    where cancelled_at is not null
    group by order_id, line_type, order_line_id
)

select
    all_movements.*, happened_at::date as sale_day, customer_id, currency,
    all_movements.gross_sales - all_movements.discounts - all_movements.returns as net_sales,
    all_movements.gross_sales - all_movements.discounts - all_movements.returns
        + all_movements.shipping + all_movements.taxes as total_sales
from (from filled union all by name from cancelled) as all_movements
inner join fct_sales using (order_id);

create table fct_daily_sales as
with first_days as (
    select customer_id, min(order_day) as first_day from fct_sales where not is_test_order group by all
),

counts as (
    select
        order_day as sale_day, currency, count(*) as orders,
        count(distinct customer_id) filter (first_day = order_day) as new_customers,
        count(distinct customer_id) filter (first_day < order_day) as returning_customers
    from fct_sales
    left join first_days using (customer_id)
    where not is_test_order
    group by all
)

select *
from (
    select
        sale_day, currency, sum(if(movement = 'sale', quantity, 0)) as units,
        sum(gross_sales) as gross_sales, sum(discounts) as discounts, sum(returns) as returns,
        sum(net_sales) as net_sales, sum(shipping) as shipping, sum(taxes) as taxes,
        sum(tips) as tips, sum(total_sales) as total_sales
    from fct_sales_ledger
    where line_type <> 'gift_card'
    group by sale_day, currency
)
full join counts using (sale_day, currency);

create table fct_daily_orders as
with first_days as (
    select customer_id, min(order_day) as first_day from fct_sales where is_counted group by all
)

select
    order_day, currency, count(*) as orders, sum(units) as units, sum(gross_sales) as gross_sales,
    sum(discounts) as discounts, sum(returns) as returns, sum(net_sales) as net_sales,
    sum(shipping) as shipping, sum(taxes) as taxes, sum(total_sales) as total_sales,
    count(distinct customer_id) filter (first_day = order_day) as new_customers,
    count(distinct customer_id) filter (first_day < order_day) as returning_customers
from fct_sales
left join first_days using (customer_id)
where is_counted
group by order_day, currency;

create table fct_order_lines as
with booked as (
    select
        order_id, order_line_id, sum(gross_sales) as gross_sales, sum(discounts) as discounts,
        sum(returns) as returns, sum(net_sales) as net_sales,
        -sum(if(movement = 'return', quantity, 0)) as returned_quantity
    from fct_sales_ledger
    where movement <> 'cancellation' and order_line_id is not null
    group by order_id, order_line_id
)

select
    lines.* exclude (gross_sales, within), order_day, is_counted, customer_id, currency,
    product_type, booked.* exclude (order_id, order_line_id), cents(cost) as unit_cost,
    cents(cost * (quantity - returned_quantity)) as cost,
    booked.net_sales - cents(cost * (quantity - returned_quantity)) as gross_margin
from int_order_lines as lines
inner join fct_sales as sales using (order_id)
inner join booked
    on lines.order_id = booked.order_id and lines.order_line_id = booked.order_line_id
left join int_products as products on lines.product_id = products.id
left join int_variants as variants on lines.variant_id = variants.id
left join int_inventory_items as items on variants.inventory_item_id = items.id;

create table fct_customer_cohorts as
with first_months as (
    select customer_id, currency, date_trunc('month', min(order_day)) as cohort_month
    from fct_sales
    where is_counted and customer_id is not null
    group by customer_id, currency
),

active as (
    select
        cohort_month, currency, datediff('month', cohort_month, order_day) as months_since_first,
        count(distinct customer_id) as active_customers, count(*) as orders,
        sum(gross_sales) as gross_sales, sum(returns) as returns, sum(net_sales) as net_sales
    from fct_sales
    inner join first_months using (customer_id, currency)
    where is_counted
    group by all
)

select *, sum(net_sales) over (partition by cohort_month, currency order by months_since_first)
    as cumulative_net_sales
from active;

create table dim_customers as
with sales as (
    select
        customer_id, currency, min(order_date) as first_order_at, max(order_date) as last_order_at,
        count(*) as orders, sum(gross_sales) as gross_sales, sum(returns) as returns,
        sum(net_sales) as net_sales, min_by(order_id, (order_date, order_id)) as first_order_id,
        min_by(discount_codes[1], (order_date, order_id)) as first_discount_code
    from fct_sales
    where is_counted
    group by customer_id, currency
),

scores as (
    select
        *,
        ntile(5) over (partition by currency order by last_order_at, customer_id) as recency,
        ntile(5) over (partition by currency order by orders, customer_id) as frequency,
        ntile(5) over (partition by currency order by net_sales, customer_id) as monetary
    from sales
),

first_lines as (
    select order_id, min_by(product_id, order_line_id) as product_id
    from int_order_lines
    semi join sales on order_id = first_order_id
    group by order_id
),

profiles as (
    select lower(trim(email)) as address, max_by(profile_id, updated_at) as profile_id,
        max_by(email_consent, updated_at) as email_consent
    from int_profiles
    group by address
)

select customers.customer_id, email, first_name, last_name, scores.* exclude (customer_id),
    first_lines.product_id, profile_id, email_consent
from int_customers as customers
left join scores using (customer_id)
left join first_lines on first_order_id = order_id
left join profiles on lower(trim(email)) = address;

create table dim_products as
select
    product_id, currency, max_by(title, order_date) as title, max_by(vendor, order_date) as vendor,
    min(order_date) as first_sold_at, max(order_date) as last_sold_at, sum(quantity) as units_sold,
    sum(returned_quantity) as returned_units, sum(lines.gross_sales) as gross_sales,
    sum(lines.net_sales) as net_sales
from fct_order_lines as lines
inner join (select order_id, order_date from fct_sales) using (order_id)
where is_counted
group by product_id, currency;

create table fct_inventory as
select variants.id as variant_id, location_id, locations.name, available
from int_inventory_levels as levels
inner join int_variants as variants using (inventory_item_id)
left join int_locations as locations on location_id = locations.id;

create table dim_product_variants as
with newest_day as (select max(order_day) as day from fct_sales)

select
    variants.id, title, sku, price, sum(quantity) as units_sold,
    sum(if(order_day > newest_day.day - 28, quantity, 0)) as recent_units
from int_variants as variants
cross join newest_day
left join (select variant_id, quantity, order_day from fct_order_lines where is_counted) as lines
    on variants.id = lines.variant_id
group by all;

create table fct_payments as
select id as transaction_id, order_id, processed_at, kind, gateway, currency,
    cents(if(kind = 'refund', -amount, amount)) as amount
from int_transactions
where status = 'success';

create table fct_daily_payments as
select processed_at::date as day, gateway, currency, sum(amount) as amount
from fct_payments
where kind in ('sale', 'capture', 'refund')
group by all;

create table fct_fulfillments as
select id as fulfillment_id, order_id, created_at, status, shipment_status, tracking_company,
    list_sum([line.quantity for line in line_items]) as units,
    epoch(created_at - order_date) / 3600 as hours_to_fulfil
from int_fulfillments
left join (select order_id, order_date from int_orders) using (order_id);

create table fct_abandoned_checkouts as
select checkouts.id as checkout_id, checkouts.created_at, checkouts.customer.id as customer_id,
    checkouts.email, checkouts.currency, cents(checkouts.total_price) as total_price,
    [discount.code for discount in checkouts.discount_codes] as discount_codes,
    min(orders.order_id) as recovered_order_id
from int_checkouts as checkouts
left join fct_sales as orders on checkouts.id = orders.checkout_id
group by all;

create table fct_discount_codes as
select code, currency, count(*) as orders, sum(gross_sales) as gross_sales,
    sum(discounts) as discounts, sum(net_sales) as net_sales
from (select *, unnest(discount_codes) as code from fct_sales where is_counted)
group by code, currency;

create table message_events as
with messages as (
    select max(campaign_id) as campaign_id, message_id
    from (select campaign_id, unnest(message_ids) as message_id from int_campaigns)
    group by message_id
)

select
    event_id, profile_id, event_at, name, if(campaign_id is null, 'flow', 'campaign') as source_type,
    coalesce(campaign_id, flow_id) as source_id,
    if(name like '%SMS%', 'sms', 'email') as channel
from int_events
inner join int_metrics using (metric_id)
left join messages using (message_id)
where coalesce(campaign_id, flow_id) is not null and name <> 'Placed Order';

create table order_touches as
select
    orders.event_id as placed_event_id, orders.order_id, currency, event_value, touches.*
from (
    select int_events.* from int_events inner join int_metrics using (metric_id)
    where name = 'Placed Order'
) as orders
left join (
    select event_id as touch_event_id, profile_id, event_at as touch_at, source_type, source_id,
        channel
    from message_events
    where name like 'Opened%' or name like 'Clicked%'
) as touches
    on
        orders.profile_id = touches.profile_id
        and touch_at between event_at - interval 120 hours and event_at;

create table performance as
with responses as (
    select
        source_type, source_id, channel,
        count(distinct profile_id) filter (name like 'Received%') as received,
        count(distinct profile_id) filter (name like 'Opened%') as unique_opens,
        count(distinct profile_id) filter (name like 'Clicked%') as unique_clicks,
        count(distinct profile_id) filter (name like 'Bounced%' or name like 'Failed%') as bounces,
        count(distinct profile_id) filter (name like 'Marked%') as spam_complaints,
        count(distinct profile_id) filter (name like 'Unsub%') as unsubscribes
    from message_events
    group by all
),

attributed as (
    select source_type, source_id, channel, currency, count(*) as orders,
        cents(sum(event_value)) as revenue
    from (
        from order_touches where source_type is not null
        qualify row_number() over (
            partition by placed_event_id, source_type order by touch_at desc, touch_event_id desc
        ) = 1
    )
    group by all
)

from responses left join attributed using (source_type, source_id, channel);

create table fct_campaign_performance as
select campaign_id, name, sent_at, performance.*
from int_campaigns
left join performance on source_type = 'campaign' and source_id = campaign_id;

create table fct_flow_performance as
select flow_id, name, performance.*
from int_flows
left join performance on source_type = 'flow' and source_id = flow_id;

create table fct_attribution as
with numbered as (
    select
        *, cents(coalesce(event_value, 0)) as value,
        row_number() over (partition by placed_event_id order by touch_at, touch_event_id) as number,
        count(*) over (partition by placed_event_id) as touches
    from order_touches
),

weighted as (
    select *, case
        when number = touches then 0
        when model in ('first', 'last') then (model = 'first' and number = 1)::int
        when model = 'linear' then 1 / touches
        when touches = 2 then 0.5
        when number = 1 then 0.4
        else 0.2 / (touches - 2)
    end::decimal(18, 8) as weight
    from numbered
    cross join (select unnest(['first', 'last', 'linear', 'position']) as model)
)

select
    placed_event_id, order_id, currency, touch_event_id, source_type, source_id, model,
    if(number = touches, 1 - sum(weight) over shares, weight) as weight,
    if(number = touches, value - sum(round(value * weight, 2)) over shares, round(value * weight, 2))
        as attributed_revenue
from weighted
window shares as (partition by placed_event_id, model);

create table fct_daily_marketing as
select date as day, platform, currency, cents(sum(cost)) as cost, sum(impressions) as impressions,
    sum(clicks) as clicks
from int_spend
group by all;

create table fct_daily_profit as
with costs as (
    select sale_day as day, currency, cents(sum(quantity * cost)) as cost_of_goods
    from fct_sales_ledger as ledger
    inner join int_variants as variants on ledger.variant_id = variants.id
    inner join int_inventory_items as items on variants.inventory_item_id = items.id
    where line_type = 'product'
    group by all
),

spend as (select day, currency, sum(cost) as ad_spend from fct_daily_marketing group by all)

select sales.sale_day as day, sales.currency, net_sales, cost_of_goods, shipping, ad_spend,
    new_customers
from fct_daily_sales as sales
left join costs on sales.sale_day = costs.day and sales.currency = costs.currency
left join spend on sales.sale_day = spend.day and sales.currency = spend.currency;
