-- The shop itself: who buys what, when, and what happens to the order afterwards.
--
-- Chance comes from hashing a name, a key and the seed, never from random(): each fact depends on
-- its own key alone, and is the same on every run. Times are whole seconds since 1970, money is
-- whole cents. Rare things happen to every n-th order, so that even a tiny shop has them. Of each
-- hundred orders these have a story, by their place in the hundred:
--
--   1  two refunds, the first a partial one       6  a tax-inclusive order refunded in full
--   2  sells the limited edition                   8  a refund with a discrepancy
--   3  cancelled and refunded                     10  cancelled, never refunded
--   4  FLASH70: 70 % off, below what it costs
--   5  nothing but a gift card
--
-- Every 24th order from the 12th on recovers an abandoned checkout, after a click in the flow
-- "Abandoned Cart". The limited edition sells out after three fifths of the history, and the trail
-- mix is deleted a day later. Campaigns 0, 8, 16, … have two messages; 1, 9, 17, … go out as SMS.

-- The outer hash matters: hashes of several arguments are combined by xor, which would make the
-- rolls of one key under two names depend on each other.
create macro roll(what, key_no, sides) as
    (hash(hash(key_no, what, getvariable('seed'))) % sides::ubigint)::bigint;
create macro pick(items, what, key_no) as items[1 + roll(what, key_no, len(items))];
create macro power(what, key_no, exponent) as pow(roll(what, key_no, 1000000) / 1e6, exponent);
create macro days(count) as 86400 * count;

-- What is sold. Gift cards and the trail mix have no known cost.
create table variants as
with numbered as (
    select *, unnest(variants) as variant_title, generate_subscripts(variants, 1) as variant_no
    from products
),

priced as (
    select * exclude (variants) replace (price + 350 * (variant_no - 1) as price) from numbered
)

select
    *,
    row_number() over (order by product_no, variant_no) as variant,
    6796218302653 + 32768 * product_no as product_id,
    40090580615357 + 32768 * (100 * product_no + variant_no) as variant_id,
    42187340611773 + 32768 * (100 * product_no + variant_no) as inventory_item_id,
    if(product_no % 7 = 0, '', 'LL-' || product_no || '-' || variant_no) as sku,
    title = 'Gift Card' as is_gift_card,
    title like '%Limited edition' as is_limited,
    title like 'Trail Mix%' as is_deleted,
    title = 'Not on sale yet' as is_draft,
    if(is_gift_card or is_deleted, null, price * (50 + roll('cost', variant_id, 10)) // 100) as cost
from priced;

-- As arrays: they are looked up without a join.
set variable variants = (
    select {
        price: list(price order by variant),
        is_gift_card: list(is_gift_card order by variant),
        product_id: list(product_id order by variant),
        variant_id: list(variant_id order by variant),
        sku: list(sku order by variant),
        -- First the words of the first half of the history, then those of the second.
        title: list(title order by variant) || list(coalesce(new_title, title) order by variant),
        vendor: list(vendor order by variant) || list(coalesce(new_vendor, vendor) order by variant),
        variant_title: list(variant_title order by variant)
    }
    from variants
);
-- What can be ordered; then the same after two are gone, the variant before each in its stead.
set variable on_sale = (
    select list(variant order by variant)
        || list(variant - (is_limited or is_deleted)::int order by variant)
    from variants
    where not is_draft
);
set variable limited_edition = (select variant from variants where is_limited);
set variable gift_card = (select min(variant) from variants where is_gift_card);
set variable sold_out_at = getvariable('start') + getvariable('seconds') * 3 // 5;
create macro of_variant(field, variant) as getvariable('variants')[field][variant];
create macro tax_of(amount, tax_rate, taxes_included) as
    round(amount * tax_rate / if(taxes_included, 10000 + tax_rate, 10000))::bigint;
create macro total(amounts) as coalesce(list_sum(amounts), 0)::bigint;

create table orders as
with weights as (  -- slow growth and busy weekends
    select
        range as day_no,
        (1 + 0.6 * day_no / getvariable('days'))
            * if(isodow(getvariable('first_day') + day_no::int) > 5, 1.25, 1) as weight,
        sum(weight) over (order by day_no) / sum(weight) over () as share_until
    from range(getvariable('days'))
),

calendar as (
    select
        day_no,
        round(getvariable('orders') * share_until)::bigint as orders_until,
        lag(orders_until, 1, 0) over (order by day_no) as first_order
    from weights
),

placed as (
    select
        range as order_no,
        order_no % 100 as story,
        order_no % 24 = 12 as is_recovered,
        getvariable('start') + days(day_no) + ((order_no - first_order
            + roll('second', order_no, 100) / 100) * 86400 // (orders_until - first_order))::bigint
            as placed_at,
        -- Three orders in eight are placed by somebody new, who gets the next number.
        (order_no * 3 + 2) % 8 < 3 as is_new,
        getvariable('old_customers') + (order_no * 3 + 2) // 8 as customers_until,
        if(story = 6, 95, roll('currency', order_no, 100)) as currency_roll,
        len(getvariable('on_sale')) // 2 as choice,
        if(placed_at < getvariable('sold_out_at'), 1, 1 + choice) as first_choice,
        case story
            when 2 then getvariable('limited_edition')
            when 4 then 1
            when 5 then getvariable('gift_card')
        end as first_variant,
        if(story = 5, 1, pick([1, 1, 2, 2, 3, 3, 4, 4, 5, 6], 'lines', order_no)) as line_count,
        list_transform(range(line_count), lambda line: {
            line_no: line,
            variant: getvariable('on_sale')[first_choice + if(
                line = 0 and first_variant is not null,
                first_variant - 1,
                floor(choice * power('variant', order_no * 8 + line, 1.6))::int
            )],
            quantity: pick([1, 1, 1, 1, 1, 1, 1, 1, 2, 5], 'quantity', order_no * 8 + line)
        }) as choices
    from range(getvariable('orders'))
    inner join calendar on range >= first_order and range < orders_until
),

terms as (
    select
        * exclude (customers_until, currency_roll, choice, first_choice, first_variant, line_count),
        -- The power skews towards old customers: some come back very often.
        if(
            is_new, customers_until, (customers_until * power('customer', order_no, 1.7)) // 1
        )::bigint as buyer,
        -- Flows write to those who have a profile.
        buyer - (is_recovered and buyer % 10 = 4)::int as customer_no,
        roll('guest', order_no, 12) = 0 and not is_recovered as is_guest,
        case
            when currency_roll < 88 then 'USD'
            when currency_roll < 94 then 'EUR'
            when currency_roll < 98 then 'GBP'
            else 'CAD'
        end as currency,
        currency_roll < 9 or currency_roll between 88 and 97 as taxes_included,
        -- Hundredths of a percent; some orders are exempt.
        map {'USD': 725, 'EUR': 1900, 'GBP': 2000, 'CAD': 1300}[currency]
            * (story = 6 or roll('exempt', order_no, 25) > 0)::int as tax_rate,
        if(
            story = 4,
            'percent',
            pick(['none', 'none', 'none', 'percent', 'first line', 'shipping'], 'discount', order_no)
        ) as discount_kind,
        case
            when discount_kind <> 'percent' then 0
            when story = 4 or order_no % 9 = 1 then 70
            when order_no % 9 = 0 then 100
            else 15
        end as percent,
        pick([0, 0, 0, 495, 495, 495, 795, 1295], 'shipping', order_no) as shipping,
        if(discount_kind = 'shipping' or percent = 100, shipping, 0) as shipping_discount,
        list_filter([
            {code: map {15: 'WELCOME15', 70: 'FLASH70', 100: 'FRIENDS100'}[percent],
                type: 'percentage'},
            {code: if(discount_kind = 'shipping' or shipping_discount > 0, 'FREESHIP', null),
                type: 'shipping'}
        ], lambda discount: discount.code is not null) as codes,
        tax_of(shipping - shipping_discount, tax_rate, taxes_included) as shipping_tax,
        if(roll('tip', order_no, 20) = 0, 100 + roll('tip size', order_no, 900), 0) as tip
    from placed
),

priced as (
    select
        * exclude (choices),
        list_transform(choices, lambda choice: struct_insert(
            choice,
            price := of_variant('price', choice.variant),
            discount := if(
                discount_kind = 'first line' and choice.line_no = 0,
                least(500, of_variant('price', choice.variant)),
                of_variant('price', choice.variant) * choice.quantity * percent // 100
            ),
            tax_rate := if(of_variant('is_gift_card', choice.variant), 0, tax_rate)
        )) as untaxed
    from terms
),

taxed as (
    select
        * exclude (untaxed),
        list_transform(untaxed, lambda line: struct_insert(line, tax := tax_of(
            line.price * line.quantity - line.discount, line.tax_rate, taxes_included
        ))) as lines,
        roll('refund', order_no, 100) as refund_roll
    from priced
)

select
    *,
    total([line.discount for line in lines]) as line_discount,
    total([line.tax for line in lines]) as line_tax,
    total([line.price * line.quantity for line in lines]) - line_discount - shipping_discount
        + shipping + tip + if(taxes_included, 0, line_tax + shipping_tax) as total_price,
    order_no % 193 = 11 as is_test,
    order_no % 701 = 7 as never_landed,  -- only its refund does
    order_no % 467 = 100 as only_tombstone,  -- only its deletion does
    if(order_no % 10 = 9, placed_at + 3600 + roll('sent', order_no, days(3)), null) as fulfilled_at,
    if(order_no % 67 = 31, placed_at + 7200 + roll('edit', order_no, days(3)), null) as edited_at,
    if(
        order_no % 41 = 13 or story in (3, 10), placed_at + 1800 + roll('no', order_no, days(2)), null
    ) as cancelled_at,
    if(order_no % 149 = 23 or only_tombstone, placed_at + days(1) + roll('gone', order_no, days(6)), null)
        as deleted_at,
    placed_at + days(1)
        + roll('refunded at', order_no, days(least(6, getvariable('days') // 3))) as refunded_at,
    case
        when never_landed then ['first line']
        when story in (3, 6) then ['all']
        when story = 1 then ['first line', 'nothing']
        when story = 8 then ['first line']
        when story in (2, 4, 5, 10) then []
        when refund_roll < 7 or cancelled_at is not null and refund_roll < 50 then ['all']
        when refund_roll < 19 then ['first line']
        when refund_roll < 22 then ['first line', if(len(lines) > 1, 'last line', 'shipping')]
        when refund_roll < 24 then ['first line', 'shipping', 'nothing']
        else []
    end as refund_scopes
from taxed;

-- Subtotals contain the tax where prices do; shipping is refunded without it.
create table refunds as
with planned as (
    select *, unnest(refund_scopes) as scope, generate_subscripts(refund_scopes, 1) as refund_no
    from orders
),

chosen as (
    select
        order_no * 4 + refund_no as key_no,
        order_no,
        story,
        currency,
        refunded_at + days(2) * (refund_no - 1) as happened_at,
        list_transform(
            case scope
                when 'all' then lines when 'first line' then lines[1:1]
                when 'last line' then lines[-1:] else []
            end,
            lambda line: struct_insert(line, returned := if(scope = 'first line', 1, line.quantity))
        ) as picked,
        scope in ('all', 'shipping') as with_shipping,
        if(with_shipping, shipping_tax, 0) as tax_of_shipping,
        if(with_shipping, shipping - shipping_discount, 0)
            - if(taxes_included, tax_of_shipping, 0) as returned_shipping,
        if(
            scope = 'nothing' or story = 8
            or roll('discrepancy', key_no, 20) = 0 and story not in (3, 6),
            250,
            0
        ) as discrepancy,
        if(order_no % 2 = 0 and discrepancy > 0, 20, 0) as tax_of_discrepancy,
        taxes_included
    from planned
),

priced as (
    select
        *,
        list_transform(picked, lambda line: {
            line_no: line.line_no,
            quantity: line.returned,
            subtotal: (line.price * line.quantity - line.discount) * line.returned // line.quantity,
            tax: line.tax * line.returned // line.quantity
        }) as lines
    from chosen
),

added as (
    select
        *,
        total([line.subtotal + if(taxes_included, 0, line.tax) for line in lines])
            + returned_shipping + tax_of_shipping + discrepancy + tax_of_discrepancy as amount
    from priced
)

select
    *,
    list_transform(
        if(story between 1 and 10, ['whole'], pick([
            ['whole'], ['whole'], ['whole'], ['whole'], [], ['failure', 'whole'], ['pending'],
            ['third', 'rest'], ['void', 'whole'], ['sale', 'whole']
        ], 'transactions', key_no)),
        lambda payment, position: {
            key_no: 4 * key_no + position - 1,
            kind: if(payment in ('void', 'sale'), payment, 'refund'),
            status: if(payment in ('failure', 'pending'), payment, 'success'),
            amount: case payment
                when 'third' then amount // 3 when 'rest' then amount - amount // 3 else amount
            end
        }
    ) as payments
from added;

-- What is paid at once, later, or at the second attempt, and what is paid back. The last payment
-- of an order is the one that refunds name.
create table transactions as
with paid as (
    select
        *,
        16 * order_no as first_key,
        order_no % 16 as manner,
        placed_at + 3600 + roll('captured', order_no, days(1)) as later
    from orders
    where total_price > 0 and not never_landed
)

select order_no, currency, is_test, total_price as amount, unnest(case
    when cancelled_at is not null and len(refund_scopes) = 0 then [
        {key_no: first_key, kind: 'authorization', status: 'success', happened_at: placed_at + 1},
        {key_no: first_key + 1, kind: 'void', status: 'success', happened_at: cancelled_at}
    ]
    when manner = 13 then [
        {key_no: first_key, kind: 'authorization', status: 'success', happened_at: placed_at + 1},
        {key_no: first_key + 1, kind: 'capture', status: 'success', happened_at: later}
    ]
    when manner > 13 then [
        {key_no: first_key, kind: 'sale', status: if(manner = 14, 'pending', 'failure'),
            happened_at: placed_at - 60},
        {key_no: first_key + 1, kind: 'sale', status: 'success',
            happened_at: if(manner = 14, later, placed_at + 1)}
    ]
    else [{key_no: first_key, kind: 'sale', status: 'success', happened_at: placed_at + 1}]
end, recursive := true)
from paid
union all
select order_no, currency, false, payment.amount, payment.key_no, payment.kind, payment.status,
    happened_at
from (select *, unnest(payments) as payment from refunds);

-- Some orders are sent in two halves.
create table fulfillments as
with sent as (
    select
        *,
        order_no % 10 = 5 and len(lines) > 1 as in_halves,
        unnest(range(1 + in_halves::int)) as half,
        coalesce(fulfilled_at, placed_at + 900 + roll('sent', order_no, 40000)) + days(half)
            as happened_at
    from orders
    where order_no % 10 <> 8 and not (never_landed or only_tombstone)
)

select
    2 * order_no + half as key_no,
    order_no,
    happened_at,
    cancelled_at,
    case
        when half = 1 then lines[2:] when in_halves or order_no % 10 = 7 then lines[1:1] else lines
    end as lines
from sent;

-- Recovered checkouts have their order's number. Some are marked as completed, some are not.
create table checkouts as
select
    order_no as key_no,
    lines[1].variant as variant,
    placed_at - 14400 - roll('left', order_no, 72000) as created_at,
    if(order_no % 48 = 36, placed_at, null) as completed_at,
    true as is_recovered,
    customer_no,
    currency,
    total_price,
    list_transform(codes, lambda discount: discount.code) as codes
from orders
where is_recovered
union all
select
    getvariable('orders') + range,
    getvariable('on_sale')[1 + roll('wanted', range, len(getvariable('on_sale')) // 2)] as variant,
    getvariable('start') + roll('left at', range, getvariable('seconds')),
    null,
    false,
    if(range % 6 = 5, null, roll('leaver', range, getvariable('old_customers'))),
    if(range % 15 = 7, 'EUR', 'USD'),
    of_variant('price', variant),
    pick([[], [], ['WELCOME15'], ['FREESHIP']], 'tried', range)
from range(3 + getvariable('orders') // 12);

-- What a customer is after each thing that happens; `version` counts orders.
create table customer_versions as
with customers as (
    select range as customer_no, getvariable('start') - 3600 - roll('joined', range, days(300))
        as created_at
    from range(getvariable('old_customers'))
    union all
    select customer_no, placed_at - 120 from orders where is_new
),

purchases as (
    select
        customer_no,
        order_no,
        placed_at,
        count(*) over by_customer as orders_count,
        (sum(total_price) over by_customer)::bigint as total_spent
    from orders
    where not (is_guest or is_test or never_landed or only_tombstone)
    window by_customer as (partition by customer_no order by order_no)
)

select customer_no as key_no, 0 as version, created_at as happened_at, created_at, 0 as total_spent
from customers
union all
select customer_no, orders_count, placed_at + 30, created_at, total_spent
from purchases
inner join customers using (customer_no)
where roll('customer version', order_no, 7) = 0;

-- Nine customers in ten have a profile with their number. One in 33 has a second one under the
-- same e-mail address, and there are subscribers who never bought.
create table profile_versions as
select *, key_no as customer_no from customer_versions where key_no % 10 <> 4
union all
select 1000000000 + key_no, 0, created_at + days(5), created_at + days(5), 0, key_no
from customer_versions
where version = 0 and key_no % 33 = 5
union all
select 2000000000 + range, 0, created_at, created_at, 0, null
from range(5 + getvariable('orders') // 20),
    lateral (select getvariable('start') + roll('subscribed', range, getvariable('seconds')) as created_at);

-- Every third day a campaign goes to one of eight segments; the last two are never sent.
create table campaigns as
select
    range as campaign_no,
    getvariable('start') + days(range * 3) + 36000 as send_at,
    range >= getvariable('days') // 3 as is_draft
from range(getvariable('days') // 3 + 2);

create table events as
with messages as (
    select
        key_no as profile_no,
        campaign_no,
        null as flow_no,
        campaign_no * 4000000000 + key_no as message_no,
        send_at + roll('received at', message_no, 1800) as received_at,
        false as is_recovered
    from profile_versions
    inner join campaigns on key_no % 8 = campaign_no * 5 % 8 and created_at < send_at
    where version = 0 and not is_draft
    union all
    select key_no, null, 2, -key_no, created_at + 3600, false  -- by the flow that welcomes
    from profile_versions
    where version = 0 and key_no % 5 = 0 and created_at >= getvariable('start')
    union all
    select customer_no, null, 1, -10000000000 - key_no, created_at + 3600, is_recovered
    from checkouts
    where customer_no % 10 <> 4
),

opened as (
    select
        *,
        received_at + 60 + roll('open at', message_no, if(is_recovered, 3600, days(2))) as opened_at,
        opened_at + 5 + roll('click at', message_no, 3600) as clicked_at,
        if(is_recovered, 11, roll('read', message_no, 100)) as read_roll,
        coalesce(campaign_no % 8 = 1, false) as is_sms
    from messages
),

happenings as (
    select profile_no, campaign_no, flow_no, null::bigint as order_no, null::bigint as total_price,
        null::varchar as currency, unnest([
        {metric_no: case when read_roll > 95 then 8 when is_sms then 12 else 1 end,
            happened_at: received_at},
        {metric_no: 2, happened_at: if(read_roll < 38 and not is_sms, opened_at, null)},
        -- Opened again, marked as spam or unsubscribed.
        {metric_no: case when read_roll < 2 then 2 when read_roll < 22 then 10 else 11 end,
            happened_at: if(
                (read_roll < 2 or read_roll between 20 and 24) and not is_sms, opened_at + 7200, null
            )},
        {metric_no: case when is_sms then 13 when read_roll = 9 then 4 else 3 end,
            happened_at: if(read_roll < 12, clicked_at, null)}
    ], recursive := true)
    from opened
    union all
    select customer_no, null, null, order_no, total_price, currency, 5, placed_at + 5
    from orders
    where not (is_guest or is_test) and customer_no % 10 <> 4
)

select
    row_number() over (
        order by happened_at, profile_no, metric_no, campaign_no, flow_no, order_no
    ) as key_no,
    *
from happenings
where happened_at < getvariable('until');

-- On each day what is sold until goods come, every seventh day, and a reserve. The shop (the second
-- location) sells what is not ordered online. For the limited edition goods come only once.
create table inventory_levels as
with sold as (
    select
        unnest(lines).variant as variant,
        if(order_no % 4 = 2, 2, 1) as location_no,
        (placed_at - getvariable('start')) // days(1) as day_no,
        unnest(lines).quantity as quantity
    from orders
),

daily as (
    select variant, location_no, day_no, sum(quantity) as units from sold group by all
),

stocked as (
    select
        variant,
        location_no,
        inventory_item_id,
        day_no,
        if(is_limited, 0, roll('reserve', variant * 4 + location_no, 20) - 1)
            + coalesce(sum(units) over (
                partition by variant, location_no, if(is_limited, 0, day_no // 7)
                order by day_no desc
                rows between unbounded preceding and 1 preceding
            ), 0) as available
    from variants
    cross join range(1, 3) as locations (location_no)
    cross join range(getvariable('days')) as calendar (day_no)
    left join daily using (variant, location_no, day_no)
    where not is_gift_card
)

select
    variant * 4 + location_no as key_no,
    day_no as version,
    inventory_item_id,
    location_no,
    available::bigint as available,
    getvariable('start') + days(day_no + 1) - 60 - roll('counted', key_no, 3600) as happened_at
from stocked
qualify available is distinct from
    lag(available) over (partition by variant, location_no order by day_no);

create table code_versions as
with used as (
    select
        unnest(codes).code as code,
        (placed_at - getvariable('start')) * 6 // getvariable('seconds') as part
    from orders
),

counted as (
    select code, 1 + part as version, count(*) as uses from used group by all
)

select
    number as key_no,
    version,
    getvariable('start') + version * getvariable('seconds') // 6 as happened_at,
    coalesce(sum(uses) over (partition by number order by version), 0)::bigint as usage_count
from (
    select
        unnest(getvariable('codes')).code as code,
        generate_subscripts(getvariable('codes'), 1) as number
)
cross join range(6) as versions (version)
left join counted using (code, version);

-- Every fifth day's figures are corrected two days later.
create table spend as
select
    day_no * len(getvariable('ads')) + ad_no as key_no,
    day_no,
    ad_no,
    (
        8000 * getvariable('orders') // getvariable('days') * getvariable('ads')[1 + ad_no].share
        * (70 + roll('spent', key_no, 60)) / 100
    )::bigint as cost,
    cost * (40 + roll('shown', key_no, 40)) // 100 as impressions,
    impressions * (5 + roll('clicked', key_no, 20)) // 1000 as clicks
from range(getvariable('days')) as calendar (day_no)
cross join range(len(getvariable('ads'))) as ads (ad_no);
