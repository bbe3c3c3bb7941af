-- What the connectors emit: the columns and types of Airbyte's files. Each view is named after its
-- stream, and has the number of the row of `deliveries` that it renders.

create macro money(cents) as cents / 100.0;
create macro money_text(cents) as (cents / 100.0)::decimal(18, 2)::varchar;
create macro order_id(order_no) as 5010584895677 + order_no * 32768;
create macro line_id(order_no, line_no) as 12204214845629 + order_no * 32768 + line_no;
create macro customer_id(customer_no) as 6569096478909 + customer_no * 32768;
create macro transaction_id(key_no) as 6281479291069 + key_no * 2048;
create macro checkout_id(key_no) as 30485724037309 + key_no * 4096;
create macro location_id(location_no) as 62098177213 + location_no * 32768;
create macro ulid(what, number) as
    '01' || hex(hash(what, number)) || left(hex(hash(number, what, 1)), 8);
create macro small_id(what, number) as what || lpad(number::varchar, 4, '0');
create macro first_name(person) as pick(getvariable('first_names'), 'first name', person);
create macro last_name(person) as pick(getvariable('last_names'), 'last name', person);
create macro place(person) as pick(getvariable('places'), 'place', person);
-- Some customers only gave a phone number; some addresses keep a capital.
create macro email(customer_no) as case
    when customer_no % 57 = 9 then null
    when customer_no % 20 = 1 then 'Shopper' || customer_no || '@Example.com'
    else 'shopper' || customer_no || '@example.com'
end;

create macro records_of(name) as table
select
    * exclude (stream),
    rowid as row_no,
    -- A second attempt's copy keeps the raw id of the first.
    md5(concat_ws(' ', stream, key_no, version, if(copy = 1, 0, copy)))::uuid::varchar
        as _airbyte_raw_id,
    extracted_ms as _airbyte_extracted_at,  -- DuckDB has no milliseconds with a time zone
    {
        sync_id: 5000 + 3 * sync,
        changes: if(key_no % 997 = 1, [{field: 'note', change: 'NULLED', reason: 'TOO_LARGE'}], [])
    } as _airbyte_meta,
    if(name = 'klaviyo/metrics', version, 0)::bigint as _airbyte_generation_id
from deliveries
where stream = name;

create view "shopify/orders" as
with versions as (
    select
        orders.*,
        delivered.*,
        coalesce(edited_at <= happened_at, false) as is_edited,
        coalesce(cancelled_at <= happened_at, false) as is_cancelled,
        len(refund_scopes) > 0 and refunded_at <= happened_at as is_refunded,
        if(
            placed_at < (getvariable('start') + getvariable('until')) // 2,
            0,
            len(getvariable('variants').price)
        ) as new_words
    from records_of('shopify/orders') as delivered
    inner join orders on key_no = order_no
    where version < 6
)

select
    row_no,
    columns('^_airbyte'),
    order_id(order_no) as id,
    if(is_cancelled, ['customer', 'fraud', 'other'][1 + order_no % 3], null) as cancel_reason,
    if(is_cancelled, to_timestamp(cancelled_at), null) as cancelled_at,
    {browser_ip: '192.0.2.' || order_no % 250, user_agent: 'Mozilla/5.0 (X11) "Sample"'}
        as client_details,
    to_timestamp(placed_at) as created_at,
    currency,
    -- An edit adds one more of the first line, after the totals were agreed.
    money(total_price + if(is_edited, lines[1].price, 0)) as current_total_price,
    if(order_no % 4 < 2, checkout_id(order_no), null) as checkout_id,
    if(is_guest, null, {id: customer_id(customer_no), email: email(customer_no)}) as customer,
    list_transform(codes, lambda discount: {
        code: discount.code,
        amount: money_text(if(discount.type = 'shipping', shipping_discount, line_discount)),
        type: discount.type
    }) as discount_codes,
    case
        when not is_guest then email(customer_no)
        when order_no % 2 = 0 then 'guest' || order_no || '@example.net'
        else ''
    end as email,
    case
        when is_refunded then if(refund_scopes[1] = 'all', 'refunded', 'partially_refunded')
        when is_cancelled then 'voided'
        when order_no % 40 = 3 then 'pending'
        else 'paid'
    end as financial_status,
    case
        when fulfilled_at <= happened_at or order_no % 10 < 7 then 'fulfilled'
        when order_no % 10 = 7 then 'partial'
    end as fulfillment_status,
    list_transform(lines, lambda line: {
        id: line_id(order_no, line.line_no),
        gift_card: of_variant('is_gift_card', line.variant),
        price: money(line.price),
        product_id: of_variant('product_id', line.variant),
        quantity: line.quantity + (is_edited and line.line_no = 0)::int,
        sku: of_variant('sku', line.variant),
        title: of_variant('title', line.variant + new_words),
        -- As Shopify has it: discounts given on the line itself.
        total_discount: if(discount_kind = 'first line', money(line.discount), 0),
        variant_id: of_variant('variant_id', line.variant),
        variant_title: of_variant('variant_title', line.variant),
        vendor: of_variant('vendor', line.variant + new_words),
        tax_lines: case
            when line.tax_rate = 0 then []
            when currency <> 'USD' then [{price: money(line.tax), rate: line.tax_rate / 10000}]
            else [
                {price: money(line.tax - line.tax // 3), rate: line.tax_rate * 0.6 / 10000},
                {price: money(line.tax // 3), rate: line.tax_rate * 0.4 / 10000}
            ]
        end,
        discount_allocations: if(line.discount = 0, [], [{amount: money_text(line.discount)}])
    }) as line_items,
    '#' || 1001 + order_no as name,
    if(order_no % 50 = 8, e'Leave at the neighbour''s,\n"2nd floor"', null) as note,
    order_no + 1001 as order_number,
    case
        when order_no % 71 = 9 then null
        -- Imported from another system.
        when order_no % 60 = 17
            then to_timestamp(placed_at - 3600 - roll('imported', order_no, days(5)))
        else to_timestamp(placed_at)
    end as processed_at,
    if(order_no % 32 = 2, null, place(if(is_guest, order_no, customer_no))) as shipping_address,
    if(shipping = 0, [], [{
        price: money(shipping),
        discount_allocations:
            if(shipping_discount = 0, [], [{amount: money_text(shipping_discount)}])
    }]) as shipping_lines,
    ['web', 'web', 'pos', 'shopify_draft_order'][1 + order_no % 4] as source_name,
    taxes_included,
    is_test as test,
    money(line_discount + shipping_discount) as total_discounts,
    money(total_price) as total_price,
    {
        shop_money: {amount: money(shipping), currency_code: currency},
        presentment_money: {amount: money(round(shipping * 1.35)), currency_code: 'CAD'}
    } as total_shipping_price_set,
    money(line_tax + shipping_tax) as total_tax,
    money(tip) as total_tip_received,
    100 + order_no * 37 % 5000 as total_weight,
    to_timestamp(happened_at) as updated_at
from versions
union all by name
-- Deletions: id, when, and little else. Every other one has no `updated_at`.
select
    row_no,
    columns('^_airbyte'),
    order_id(key_no) as id,
    to_timestamp(happened_at) as deleted_at,
    if(key_no % 2 = 1, to_timestamp(happened_at), null) as updated_at
from records_of('shopify/orders')
where version = 6;

-- Amounts of transactions and adjustments are text.
create view "shopify/order_refunds" as
with refunded as (
    select delivered.*, refunds.* exclude (key_no, happened_at),
        845032358077 + key_no * 8192 as refund_id
    from records_of('shopify/order_refunds') as delivered
    inner join refunds using (key_no)
)

select
    row_no,
    columns('^_airbyte'),
    to_timestamp(happened_at) as created_at,
    refund_id as id,
    if(key_no % 15 = 2, 'Customer''s "wrong size"; sent back', null) as note,
    list_filter([
        {kind: 'shipping_refund', amount: money_text(-returned_shipping),
            tax_amount: money_text(-tax_of_shipping)},
        {kind: 'refund_discrepancy', amount: money_text(-discrepancy),
            tax_amount: money_text(-tax_of_discrepancy)}
    ], lambda adjustment: adjustment.amount <> '0.00') as order_adjustments,
    order_id(order_no) as order_id,
    if(key_no % 23 = 5, null, to_timestamp(happened_at - if(key_no % 23 = 6, 50000, 0)))
        as processed_at,
    list_transform(lines, lambda line: {
        line_item_id: line_id(order_no, line.line_no),
        quantity: line.quantity,
        subtotal: money(line.subtotal),
        total_tax: money(line.tax),
        restock_type: if(key_no % 3 = 0, 'no_restock', 'return')
    }) as refund_line_items,
    list_transform(payments, lambda payment: {
        id: transaction_id(payment.key_no),
        amount: money_text(payment.amount),
        kind: payment.kind,
        status: payment.status
    }) as transactions
from refunded;

create view "shopify/transactions" as
select
    row_no,
    columns('^_airbyte'),
    transaction_id(key_no) as id,
    money(amount) as amount,
    to_timestamp(happened_at) as created_at,
    currency,
    if(status = 'failure', 'card_declined', null) as error_code,
    case
        when order_no % 16 = 14 then 'manual'
        else pick(
            ['shopify_payments', 'shopify_payments', 'paypal', 'gift_card'], 'gateway', order_no
        )
    end as gateway,
    kind,
    order_id(order_no) as order_id,
    case
        when key_no % 16 > 3 then transaction_id(order_no * 16 + (order_no % 16 > 12)::int)
        when kind in ('capture', 'void') then transaction_id(order_no * 16)
    end as parent_id,
    to_timestamp(happened_at + if(key_no % 9 = 0, 2, 0)) as processed_at,
    status,
    is_test as test
from records_of('shopify/transactions')
inner join transactions using (key_no, happened_at);

create view "shopify/fulfillments" as
select
    row_no,
    columns('^_airbyte'),
    4382110245053 + key_no * 4096 as id,
    to_timestamp(sent.happened_at) as created_at,
    list_transform(lines, lambda line: {
        id: line_id(order_no, line.line_no),
        product_id: of_variant('product_id', line.variant),
        quantity: line.quantity::bigint,
        variant_id: of_variant('variant_id', line.variant)
    }) as line_items,
    location_id(if(order_no % 4 = 2, 2, 1)) as location_id,
    '#' || 1001 + order_no || '.' || key_no % 2 + 1 as name,
    order_id(order_no) as order_id,
    case
        when version = 0 then null when cancelled_at is null then 'delivered' else 'canceled'
    end as shipment_status,
    case when version = 1 and cancelled_at is not null then 'cancelled' else 'success' end as status,
    pick(['UPS', 'Postes "Canada"', 'DHL Express', null], 'carrier', order_no) as tracking_company,
    to_timestamp(delivered.happened_at) as updated_at
from records_of('shopify/fulfillments') as delivered
inner join fulfillments as sent using (key_no);

create view "shopify/abandoned_checkouts" as
select
    row_no,
    columns('^_airbyte'),
    checkout_id(key_no) as id,
    if(version = 1, to_timestamp(completed_at), null) as completed_at,
    to_timestamp(created_at) as created_at,
    currency,
    if(customer_no is null, null, {id: customer_id(customer_no), email: email(customer_no)})
        as customer,
    list_transform(codes, lambda code: {code: code, amount: '5.00', type: 'percentage'})
        as discount_codes,
    coalesce(email(customer_no), if(key_no % 2 = 0, 'looker' || key_no || '@example.net', null))
        as email,
    [{
        price: money_text(of_variant('price', variant)),
        product_id: of_variant('product_id', variant),
        quantity: 1::bigint,
        variant_id: of_variant('variant_id', variant)
    }] as line_items,
    ulid('checkout', key_no) as token,
    money(total_price) as total_price,
    to_timestamp(happened_at) as updated_at
from records_of('shopify/abandoned_checkouts')
inner join checkouts using (key_no);

-- The second version of a product has its new words, the third is its deletion.
create view "shopify/products" as
select
    row_no,
    columns('^_airbyte'),
    6796218302653 + 32768 * key_no as id,
    if(version = 2, null, to_timestamp(getvariable('start') - days(30))) as created_at,
    if(version = 2, to_timestamp(happened_at), null) as deleted_at,
    if(version = 2, null, title = 'Gift Card') as is_gift_card,
    if(version = 2, null, product_type) as product_type,
    case when version = 2 then null when title = 'Not on sale yet' then 'DRAFT' else 'ACTIVE' end
        as status,
    if(version = 2 or key_no % 4 = 0, null, 'all, "no ' || key_no || '"') as tags,
    case version when 0 then title when 1 then coalesce(new_title, title) end as title,
    to_timestamp(happened_at) as updated_at,
    case version when 0 then vendor when 1 then coalesce(new_vendor, vendor) end as vendor
from records_of('shopify/products')
inner join products on key_no = product_no;

create view "shopify/product_variants" as
select
    row_no,
    columns('^_airbyte'),
    variant_id as id,
    if(version = 1, money_text(price * 5 // 4), null) as compare_at_price,
    to_timestamp(getvariable('start') - days(30)) as created_at,
    inventory_item_id,
    variant_no as position,
    money(price) as price,
    product_id,
    sku,
    variant_title as title,
    to_timestamp(happened_at) as updated_at
from records_of('shopify/product_variants')
inner join variants on key_no = variant;

create view "shopify/inventory_items" as
select
    row_no,
    columns('^_airbyte'),
    inventory_item_id as id,
    money(if(version = 1, cost * 41 // 40, cost)) as cost,
    to_timestamp(getvariable('start') - days(30)) as created_at,
    'USD' as currency_code,
    sku,
    not is_gift_card as tracked,
    to_timestamp(happened_at) as updated_at
from records_of('shopify/inventory_items')
inner join variants on key_no = variant;

create view "shopify/inventory_levels" as
select
    row_no,
    columns('^_airbyte'),
    inventory_item_id || '|' || location_id(location_no) as id,
    available,
    inventory_item_id,
    location_id(location_no) as location_id,
    to_timestamp(happened_at) as updated_at
from records_of('shopify/inventory_levels')
inner join inventory_levels using (key_no, version, happened_at);

create view "shopify/locations" as
select
    row_no,
    columns('^_airbyte'),
    location_id(key_no) as id,
    version = 0 as active,
    getvariable('locations')[key_no].city as city,
    getvariable('locations')[key_no].country_code as country_code,
    to_timestamp(getvariable('start') - days(300)) as created_at,
    getvariable('locations')[key_no].name as name,
    to_timestamp(happened_at) as updated_at
from records_of('shopify/locations');

create view "shopify/discount_codes" as
select
    row_no,
    columns('^_airbyte'),
    1108571160765 + key_no * 32768 as id,
    getvariable('codes')[key_no].code as code,
    to_timestamp(getvariable('start') - days(10)) as created_at,
    getvariable('codes')[key_no].discount_type as discount_type,
    if(key_no = 2, to_timestamp(getvariable('until')), null) as ends_at,
    to_timestamp(if(key_no = 5, getvariable('until'), getvariable('start') - days(10))) as starts_at,
    if(version < 5 and key_no < 5, 'ACTIVE', getvariable('codes')[key_no].status) as status,
    getvariable('codes')[key_no].title || '; one use per customer' as summary,
    getvariable('codes')[key_no].title as title,
    to_timestamp(happened_at) as updated_at,
    usage_count
from records_of('shopify/discount_codes')
inner join code_versions using (key_no, version, happened_at);

create view "shopify/customers" as
select
    row_no,
    columns('^_airbyte'),
    to_timestamp(created_at) as created_at,
    if(key_no % 29 = 3, null, place(key_no)) as default_address,
    email(key_no) as email,
    if(email(key_no) is null, null, {
        state: ['subscribed', 'not_subscribed', 'unsubscribed'][1 + key_no % 3],
        opt_in_level: 'single_opt_in'
    }) as email_marketing_consent,
    first_name(key_no) as first_name,
    customer_id(key_no) as id,
    last_name(key_no) as last_name,
    if(key_no % 31 = 2, 'Calls on Mondays; don''t ring "twice"', null) as note,
    version as orders_count,
    if(key_no % 4 = 0, 'enabled', 'disabled') as state,
    if(version > 5, 'vip, returning', '') as tags,
    money(total_spent) as total_spent,
    to_timestamp(happened_at) as updated_at
from records_of('shopify/customers')
inner join customer_versions using (key_no, version, happened_at);

create view "klaviyo/profiles" as
with profiled as (
    select
        *,
        coalesce(customer_no, key_no) as person,
        -- The customer's address, as it was typed into another form.
        case
            when customer_no is null then 'subscriber' || key_no || '@example.org'
            when key_no % 7 = 1 then upper(email(customer_no))
            when key_no % 7 = 2 then ' ' || email(customer_no) || ' '
            else email(customer_no)
        end as typed_email
    from records_of('klaviyo/profiles')
    inner join profile_versions using (key_no, version, happened_at)
)

select
    row_no,
    columns('^_airbyte'),
    {
        created: to_timestamp(created_at),
        email: typed_email,
        first_name: if(key_no % 11 = 0, null, first_name(person)),
        last_event_date: if(version > 0, to_timestamp(happened_at), null),
        last_name: if(key_no % 11 = 0, null, last_name(person)),
        location: {city: place(person).city, country: place(person).country,
            region: place(person).province, zip: place(person).zip},
        phone_number: if(key_no % 5 = 0, '+1555' || 1000000 + person % 1000000, null),
        predictive_analytics: if(version = 0, null, {
            average_order_value: round(total_spent / version) / 100,
            churn_probability: 0.9::double / (1 + version),
            historic_clv: money(total_spent),
            historic_number_of_orders: version,
            predicted_clv: money(round(total_spent * 0.4)),
            total_clv: money(round(total_spent * 1.4))
        }),
        properties: '{"favourite colour":"blé","note":"it''s \"fine\""}',
        subscriptions: {email: {marketing: {
            consent: ['NEVER_SUBSCRIBED', 'SUBSCRIBED', 'UNSUBSCRIBED', 'SUBSCRIBED'][1 + key_no % 4]
        }}},
        updated: to_timestamp(happened_at)
    } as attributes,
    ulid('profile', key_no) as id,
    to_timestamp(happened_at) as updated
from profiled;

-- Properties have no fixed form: JSON text. One message in twenty is named by its campaign's id.
create view "klaviyo/events" as
select
    row_no,
    columns('^_airbyte'),
    {
        datetime: to_timestamp(happened_at),
        event_properties: case
            when order_no is not null then '{"$value":' || money_text(total_price)
                -- Older integrations name the order, and no currency.
                || if(order_no % 30 = 7, '', ',"$currency_code":"' || currency || '"')
                || if(order_no % 30 in (7, 8), ',"OrderId":"', ',"$event_id":"')
                || order_id(order_no) || '"}'
            when campaign_no is null then '{"$flow":"' || small_id('Fl', flow_no) || '","$message":"'
                || ['Cart', 'Welcome'][flow_no] || '"}'
            else '{"$message":"' || case
                when key_no % 20 = 3 then ulid('campaign', campaign_no)
                when campaign_no % 8 = 0 and profile_no // 8 % 2 = 1
                    then ulid('second message', campaign_no)
                else ulid('message', campaign_no)
            end || '","Subject":"It''s \"here\""}'
        end
    } as attributes,
    to_timestamp(happened_at) as datetime,
    ulid('event', key_no) as id,
    {
        metric: {data: {type: 'metric', id: small_id('Mt', metric_no)}},
        profile: {data: {type: 'profile', id: ulid('profile', profile_no)}}
    } as relationships
from records_of('klaviyo/events')
inner join events using (key_no, happened_at);

-- Every fourth campaign has its message only in `relationships`, every eighth another one there.
create view "klaviyo/campaigns" as
select
    row_no,
    columns('^_airbyte'),
    {
        archived: version = 2,
        channel: if(key_no % 8 = 1, 'sms', 'email'),
        created_at: to_timestamp(send_at - days(2)),
        message: if(key_no % 4 = 1, null, ulid('message', key_no)),
        name: pick(getvariable('campaign_names'), 'campaign', key_no) || ' #' || key_no,
        send_time: if(version > 0, to_timestamp(send_at), null),
        status: if(version > 0, 'Sent', 'Draft'),
        updated_at: to_timestamp(happened_at)
    } as attributes,
    ulid('campaign', key_no) as id,
    {campaign_messages: if(key_no % 4 = 1 or key_no % 8 = 0, {data: list_transform(
        if(key_no % 8 = 0, ['message', 'second message'], ['message']),
        lambda message: {type: 'campaign-message', id: ulid(message, key_no)}
    )}, null)} as relationships,
    to_timestamp(happened_at) as updated_at
from records_of('klaviyo/campaigns')
inner join campaigns on key_no = campaign_no;

create view "klaviyo/flows" as
select
    row_no,
    columns('^_airbyte'),
    {
        archived: key_no = 3,
        created: to_timestamp(getvariable('start')),
        name: getvariable('flow_names')[key_no] || if(version = 1, ' v2', ''),
        status: ['live', 'manual'][1 + version],
        trigger_type: 'Metric',
        updated: to_timestamp(happened_at)
    } as attributes,
    small_id('Fl', key_no) as id,
    to_timestamp(happened_at) as updated
from records_of('klaviyo/flows');

create view "klaviyo/lists" as
select
    row_no,
    columns('^_airbyte'),
    {
        created: to_timestamp(getvariable('start')),
        name: getvariable('list_names')[key_no] || if(version = 1, ' (new)', ''),
        opt_in_process: ['single_opt_in', 'double_opt_in'][1 + key_no % 2],
        updated: to_timestamp(happened_at)
    } as attributes,
    small_id('Ls', key_no) as id,
    to_timestamp(happened_at) as updated
from records_of('klaviyo/lists');

-- One metric's `updated` moves with each generation; `integration` has no fixed form.
create view "klaviyo/metrics" as
select
    row_no,
    columns('^_airbyte'),
    {
        created: to_timestamp(getvariable('start')),
        integration: '{"name":"' || if(key_no = 4, 'API', 'Klaviyo') || '","category":"\"&\""}',
        name: getvariable('metric_names')[key_no],
        updated: to_timestamp(getvariable('start') + if(key_no = 7, version * 3600, 0))
    } as attributes,
    small_id('Mt', key_no) as id,
    to_timestamp(getvariable('start') + if(key_no = 7, version * 3600, 0)) as updated
from records_of('klaviyo/metrics');

create view "ads/spend" as
select
    row_no,
    getvariable('first_day') + day_no::int as date,
    getvariable('ads')[1 + ad_no].platform as platform,
    getvariable('ads')[1 + ad_no].campaign as campaign,
    getvariable('ads')[1 + ad_no].currency as currency,
    money_text(if(version = 1, cost * 11 // 10, cost)) as cost,
    impressions,
    clicks
from records_of('ads/spend')
inner join spend using (key_no);
