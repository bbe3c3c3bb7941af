-- The shop itself: who buys what, when, and what happens to the order afterwards.
--
-- Chance comes from hashing a name, a key and the seed, never from random(): each fact depends on
-- its own key alone, and is the same on every run. Times are whole seconds since 1970, money is
-- whole cents. Rare things happen to every n-th order, so that even a tiny shop has them.

-- The outer hash matters: hashes of several arguments are combined by xor, which would make the
-- rolls of one key under two names depend on each other.
create macro roll(what, key_no, sides) as
    (hash(hash(key_no, what, getvariable('seed'))) % sides::ubigint)::bigint;
create macro pick(items, what, key_no) as items[1 + roll(what, key_no, len(items))];
create macro power(what, key_no, exponent) as pow(roll(what, key_no, 1000000) / 1e6, exponent);
create macro days(count) as 86400 * count;

-- What is sold, as arrays: they are looked up without a join.
set variable variants = (
    with variants as (
        select *, unnest(variants) as variant_title, generate_subscripts(variants, 1) as variant_no
        from products
    )
    select {
        price: list(price + 350 * (variant_no - 1)),
        is_gift_card: list(title = 'Gift Card'),
        product_id: list(6796218302653 + 32768 * product_no),
        variant_id: list(40090580615357 + 32768 * (100 * product_no + variant_no)),
        sku: list(if(product_no % 7 = 0, '', 'LL-' || product_no || '-' || variant_no)),
        -- First the words of the first half of the history, then those of the second.
        title: list(title) || list(coalesce(new_title, title)),
        vendor: list(vendor) || list(coalesce(new_vendor, vendor)),
        variant_title: list(variant_title)
    }
    from variants
);
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
        getvariable('start') + days(day_no) + ((order_no - first_order
            + roll('second', order_no, 100) / 100) * 86400 // (orders_until - first_order))::bigint
            as placed_at,
        -- Three orders in eight are placed by somebody new, who gets the next number.
        (order_no * 3 + 2) % 8 < 3 as is_new,
        getvariable('old_customers') + (order_no * 3 + 2) // 8 as customers_until,
        roll('currency', order_no, 100) as currency_roll,
        list_transform(range(pick([1, 1, 2, 2, 3, 3, 4, 4, 5, 6], 'lines', order_no)), lambda line: {
            line_no: line,
            variant: 1 + floor(len(getvariable('variants').price)
                * power('variant', order_no * 8 + line, 1.6))::int,
            quantity: pick([1, 1, 1, 1, 1, 1, 1, 1, 2, 5], 'quantity', order_no * 8 + line)
        }) as choices
    from range(getvariable('orders'))
    inner join calendar on range >= first_order and range < orders_until
),

terms as (
    select
        * exclude (customers_until, currency_roll),
        -- The power skews towards old customers: some come back very often.
        if(is_new, customers_until, (customers_until * power('customer', order_no, 1.7)) // 1)::bigint
            as customer_no,
        roll('guest', order_no, 12) = 0 as is_guest,
        case
            when currency_roll < 88 then 'USD'
            when currency_roll < 94 then 'EUR'
            when currency_roll < 98 then 'GBP'
            else 'CAD'
        end as currency,
        currency_roll < 9 or currency_roll between 88 and 97 as taxes_included,
        -- Hundredths of a percent; some orders are exempt.
        map {'USD': 725, 'EUR': 1900, 'GBP': 2000, 'CAD': 1300}[currency]
            * (roll('exempt', order_no, 25) > 0)::int as tax_rate,
        pick(['none', 'none', 'none', 'percent', 'first line', 'shipping'], 'discount', order_no)
            as discount_kind,
        case when discount_kind <> 'percent' then 0 when order_no % 9 = 0 then 100 else 15 end
            as percent,
        pick([0, 0, 0, 495, 495, 495, 795, 1295], 'shipping', order_no) as shipping,
        if(discount_kind = 'shipping' or percent = 100, shipping, 0) as shipping_discount,
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
    if(order_no % 41 = 13, placed_at + 1800 + roll('no', order_no, days(2)), null) as cancelled_at,
    if(order_no % 149 = 23 or only_tombstone, placed_at + days(1) + roll('gone', order_no, days(6)), null)
        as deleted_at,
    placed_at + days(1) + roll('refunded at', order_no, days(6)) as refunded_at,
    case
        when never_landed then ['first line']
        when refund_roll < 7 or cancelled_at is not null and refund_roll < 50 then ['all']
        when refund_roll < 19 then ['first line']
        when refund_roll < 22 then ['first line', if(len(lines) > 1, 'last line', 'shipping')]
        when refund_roll < 24 then ['first line', 'shipping', 'nothing']
        else []
    end as refund_scopes
from taxed;

-- Subtotals are without tax in every shop, so that a full refund cancels the sale.
create table refunds as
with planned as (
    select *, unnest(refund_scopes) as scope, generate_subscripts(refund_scopes, 1) as refund_no
    from orders
),

chosen as (
    select
        order_no * 4 + refund_no as key_no,
        order_no,
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
        if(scope = 'nothing' or roll('discrepancy', key_no, 20) = 0, 250, 0) as discrepancy,
        taxes_included
    from planned
)

select
    *,
    list_transform(picked, lambda line: {
        line_no: line.line_no,
        quantity: line.returned,
        subtotal: (line.price * line.quantity - line.discount - if(taxes_included, line.tax, 0))
            * line.returned // line.quantity,
        tax: line.tax * line.returned // line.quantity
    }) as lines,
    total([line.subtotal + line.tax for line in lines]) + returned_shipping + tax_of_shipping
        + discrepancy as amount
from chosen;

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
        campaign_no * 4000000000 + key_no as message_no,
        send_at + roll('received at', message_no, 1800) as received_at
    from profile_versions
    inner join campaigns on key_no % 8 = campaign_no * 5 % 8 and created_at < send_at
    where version = 0 and not is_draft
    union all
    select key_no, null, -key_no, created_at + 3600  -- by the flow that welcomes
    from profile_versions
    where version = 0 and key_no % 5 = 0 and created_at >= getvariable('start')
),

opened as (
    select *, received_at + 60 + roll('open at', message_no, days(2)) as opened_at,
        opened_at + 5 + roll('click at', message_no, 3600) as clicked_at,
        roll('read', message_no, 100) as read_roll
    from messages
),

happenings as (
    select profile_no, campaign_no, null::bigint as order_no, null::bigint as total_price, unnest([
        {metric_no: 1, happened_at: received_at},
        {metric_no: 2, happened_at: if(read_roll < 38, opened_at, null)},
        {metric_no: 2, happened_at: if(read_roll < 2, opened_at + 7200, null)},
        {metric_no: if(read_roll = 9, 4, 3), happened_at: if(read_roll < 12, clicked_at, null)}
    ], recursive := true)
    from opened
    union all
    select customer_no, null, order_no, total_price, 5, placed_at + 5
    from orders
    where not (is_guest or is_test) and customer_no % 10 <> 4
)

select row_number() over (order by happened_at, profile_no, metric_no, campaign_no, order_no)
    as key_no, *
from happenings
where happened_at < getvariable('until');

-- The jaffle shop, a small second one. Most orders are paid at once, some twice, a few not yet.
create table jaffle_orders as
select
    range + 1 as key_no,
    1 + roll('buyer', range, range // 3 + 1) as user_id,
    getvariable('start') + range * getvariable('seconds') // getvariable('jaffles') as happened_at,
    pick(['completed', 'completed', 'shipped', 'placed', 'returned'], 'status', range) as status,
    pick([0, 1, 1, 1, 1, 1, 1, 2], 'payments', range) as payments
from range(getvariable('jaffles'));
