-- What the connectors emit: the columns and types of Airbyte's files. Each view is named after its
-- stream, and has the number of the row of `deliveries` that it renders.

create macro money(cents) as cents / 100.0;
create macro money_text(cents) as (cents / 100.0)::decimal(18, 2)::varchar;
create macro order_id(order_no) as 5010584895677 + order_no * 32768;
create macro line_id(order_no, line_no) as 12204214845629 + order_no * 32768 + line_no;
create macro customer_id(customer_no) as 6569096478909 + customer_no * 32768;
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
    if(is_guest, null, {id: customer_id(customer_no), email: email(customer_no)}) as customer,
    if(discount_kind in ('none', 'first line'), [], [{
        code: upper(discount_kind),
        amount: money_text(line_discount + shipping_discount)
    }]) as discount_codes,
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
    to_timestamp(placed_at) as processed_at,
    place(if(is_guest, order_no, customer_no)) as shipping_address,
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
        {kind: 'refund_discrepancy', amount: money_text(-discrepancy), tax_amount: '0.00'}
    ], lambda adjustment: adjustment.amount <> '0.00') as order_adjustments,
    order_id(order_no) as order_id,
    to_timestamp(happened_at) as processed_at,
    list_transform(lines, lambda line: {
        line_item_id: line_id(order_no, line.line_no),
        quantity: line.quantity,
        subtotal: money(line.subtotal),
        total_tax: money(line.tax),
        restock_type: if(key_no % 3 = 0, 'no_restock', 'return')
    }) as refund_line_items,
    list_transform(
        pick([
            ['whole'], ['whole'], ['whole'], ['whole'], [], ['failure', 'whole'], ['pending'],
            ['third', 'rest'], ['void', 'whole'], ['sale', 'whole']
        ], 'transactions', key_no),
        lambda payment: {
            amount: money_text(case payment
                when 'third' then amount // 3 when 'rest' then amount - amount // 3 else amount
            end),
            kind: if(payment in ('void', 'sale'), payment, 'refund'),
            status: if(payment in ('failure', 'pending'), payment, 'success')
        }
    ) as transactions
from refunded;

create view "shopify/customers" as
select
    row_no,
    columns('^_airbyte'),
    to_timestamp(created_at) as created_at,
    if(key_no % 29 = 3, null, place(key_no)) as default_address,
    email(key_no) as email,
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
            when order_no is not null
                then '{"$value":' || money_text(total_price) || ',"OrderId":"' || order_no || '"}'
            when campaign_no is null then '{"$flow":"Fl0002","$message":"Welcome"}'
            else '{"$message":"' || ulid(if(key_no % 20 = 3, 'campaign', 'message'), campaign_no)
                || '","Subject":"It''s \"here\""}'
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

-- Every fourth campaign has its message only in `relationships`.
create view "klaviyo/campaigns" as
select
    row_no,
    columns('^_airbyte'),
    {
        archived: version = 2,
        channel: 'email',
        created_at: to_timestamp(send_at - days(2)),
        message: if(key_no % 4 = 1, null, ulid('message', key_no)),
        name: pick(getvariable('campaign_names'), 'campaign', key_no) || ' #' || key_no,
        send_time: if(version > 0, to_timestamp(send_at), null),
        status: if(version > 0, 'Sent', 'Draft'),
        updated_at: to_timestamp(happened_at)
    } as attributes,
    ulid('campaign', key_no) as id,
    {campaign_messages: if(
        key_no % 4 = 1, {data: [{type: 'campaign-message', id: ulid('message', key_no)}]}, null
    )} as relationships,
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

create view "jaffle_shop/customers" as
select row_no, key_no as id, first_name(key_no) as first_name, last_name(key_no) as last_name
from records_of('jaffle_shop/customers');

create view "jaffle_shop/orders" as
select row_no, key_no as id, user_id, to_timestamp(happened_at)::date as order_date, status
from records_of('jaffle_shop/orders')
inner join jaffle_orders using (key_no, happened_at);

create view "jaffle_shop/payments" as
select
    row_no,
    key_no as id,
    key_no // 2 as order_id,
    pick(['credit_card', 'bank_transfer', 'coupon', 'gift_card'], 'method', key_no)
        as payment_method,
    100 + roll('amount', key_no, 3000) as amount
from records_of('jaffle_shop/payments');
