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
    created_at as order_date, updated_at as order_updated_at, cancelled_at, cancel_reason,
    test as is_test_order, financial_status, fulfillment_status, currency, taxes_included,
    line_items, total_discounts, total_shipping_price_set.shop_money.amount as shipping_price,
    total_tax, cents(total_tip_received) as tips, cents(total_price) as total_price, source_name
from newest
left join staging.shopify_orders as landed on newest.content = landed.rowid;

create table int_order_lines as
with lines as (
    select order_id, is_deleted, order_date, taxes_included, unnest(line_items) as line
    from int_orders
)

select
    line.id as order_line_id, order_id, line.product_id, line.variant_id, line.sku, line.title,
    line.variant_title, line.vendor, line.quantity, cents(line.price) as unit_price,
    cents(if(
        len(line.discount_allocations) > 0,
        list_sum([allocation.amount::decimal(18, 6) for allocation in line.discount_allocations]),
        line.total_discount
    )) as discount,
    coalesce(list_sum([tax.price::decimal(18, 6) for tax in line.tax_lines]), 0) as tax,
    line.gift_card as is_gift_card,
    line.price::decimal(18, 6) * line.quantity - if(taxes_included, tax, 0) as gross_sales
from lines;

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
            as of_shipping
    from staging.shopify_order_refunds
    semi join newest using (rowid)
)

select
    id as refund_id, order_id, created_at as refunded_at,
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
    json_extract_string(properties, ['$."$message"', '$."$flow"', '$."$value"']) as special,
    special[1] as message_id, special[2] as flow_id, special[3]::decimal(18, 6) as event_value
from staging.klaviyo_events
semi join newest using (rowid);

create table int_campaigns as
select
    id as campaign_id, attributes.name, attributes.status, attributes.send_time as sent_at,
    coalesce(attributes.message, relationships.campaign_messages.data[1].id) as message_id
from staging.klaviyo_campaigns
qualify row_number() over (partition by id order by updated_at desc, _airbyte_raw_id desc) = 1;

create table int_metrics as
select id as metric_id, attributes.name
from staging.klaviyo_metrics
qualify _airbyte_generation_id = max(_airbyte_generation_id) over ();

create table fct_sales as
with lines as (
    select order_id, sum(quantity) as units, sum(gross_sales) as gross_sales, sum(tax) as tax
    from int_order_lines
    group by order_id
),

refunds as (
    select
        order_id, sum(returned_merchandise) as returns, sum(returned_shipping) as shipping,
        sum(returned_taxes) as taxes, sum(refunded_amount) as refunded_amount
    from int_refunds
    group by order_id
)

select
    orders.* exclude (line_items, total_discounts, shipping_price, total_tax, is_deleted),
    order_date::date as order_day,
    not is_test_order and cancelled_at is null as is_counted,
    lines.units,
    cents(lines.gross_sales) as gross_sales,
    cents(total_discounts) as discounts,
    coalesce(refunds.returns, 0) as returns,
    cents(lines.gross_sales) - discounts - coalesce(refunds.returns, 0) as net_sales,
    cents(shipping_price - if(taxes_included, total_tax - lines.tax, 0))
        - coalesce(refunds.shipping, 0) as shipping,
    cents(total_tax) - coalesce(refunds.taxes, 0) as taxes,
    cents(lines.gross_sales) - cents(total_discounts) - coalesce(refunds.returns, 0)
        + cents(shipping_price - if(taxes_included, total_tax - lines.tax, 0))
        - coalesce(refunds.shipping, 0) + cents(total_tax) - coalesce(refunds.taxes, 0)
        as total_sales,
    coalesce(refunds.refunded_amount, 0) as refunded_amount
from int_orders as orders
left join lines using (order_id)
left join refunds using (order_id)
where not is_deleted;

create table fct_daily_sales as
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

create table fct_customer_cohorts as
with first_months as (
    select customer_id, date_trunc('month', min(order_day)) as cohort_month
    from fct_sales
    where is_counted and customer_id is not null
    group by customer_id
)

select
    cohort_month, datediff('month', cohort_month, order_day) as months_since_first,
    count(distinct customer_id) as active_customers, count(*) as orders, sum(net_sales) as net_sales
from fct_sales
inner join first_months using (customer_id)
where is_counted
group by all;

create table dim_customers as
with sales as (
    select
        customer_id, min(order_date) as first_order_at, max(order_date) as last_order_at,
        count(*) as orders, sum(gross_sales) as gross_sales, sum(returns) as returns,
        sum(net_sales) as net_sales
    from fct_sales
    where is_counted
    group by customer_id
),

profiles as (
    select lower(trim(email)) as address, max_by(profile_id, updated_at) as profile_id,
        max_by(email_consent, updated_at) as email_consent
    from int_profiles
    group by address
)

select customers.customer_id, email, first_name, last_name, sales.* exclude (customer_id),
    profile_id, email_consent
from int_customers as customers
left join sales using (customer_id)
left join profiles on lower(trim(email)) = address;

create table dim_products as
select
    product_id, max_by(title, order_date) as title, max_by(vendor, order_date) as vendor,
    min(order_date) as first_sold_at, max(order_date) as last_sold_at, sum(quantity) as units_sold,
    cents(sum(lines.gross_sales)) as gross_sales
from int_order_lines as lines
inner join fct_sales using (order_id)
where is_counted
group by product_id;

create table fct_campaign_performance as
with messages as (
    select campaign_id, unnest([message_id, campaign_id]) as message_id from int_campaigns
),

touches as (
    select campaign_id, profile_id, name, event_at
    from int_events
    inner join int_metrics using (metric_id)
    inner join messages using (message_id)
),

responses as (
    select
        campaign_id,
        count(distinct profile_id) filter (name = 'Received Email') as recipients,
        count(distinct profile_id) filter (name = 'Opened Email') as unique_opens,
        count(distinct profile_id) filter (name = 'Clicked Email') as unique_clicks
    from touches
    group by campaign_id
),

orders as (
    select profile_id, event_at, event_value
    from int_events
    inner join int_metrics using (metric_id)
    where name = 'Placed Order'
),

attributed as (
    select touches.campaign_id, count(*) as orders, cents(sum(event_value)) as revenue
    from orders
    asof inner join (from touches where name <> 'Received Email') as touches
        on orders.profile_id = touches.profile_id and orders.event_at >= touches.event_at
    where orders.event_at <= touches.event_at + interval 120 hours
    group by touches.campaign_id
)

select campaign_id, name, sent_at, recipients, unique_opens, unique_clicks, orders, revenue
from int_campaigns
left join responses using (campaign_id)
left join attributed using (campaign_id);
