"""The sample shop itself: who buys what, when, and what happens to the order afterwards.

Everything is built set-wise in DuckDB as narrow tables of facts, one row per order, order version,
refund, customer and e-mail event. Chance comes from hashing a name, a key and the seed, never from
`random()`, so each fact depends on its own key alone and is the same on every run. Times are whole
seconds since 1970 (UTC) and money is whole cents; `records.py` turns both into what the sources
send.

Rare things happen to every n-th order (see `EVERY`), so that even a tiny shop has them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

import duckdb

from lotus_lake.sample import words

DAY = 86_400

# One order in `modulo` has the case: those whose number leaves `remainder`. Tests rely on these.
EVERY: dict[str, tuple[int, int]] = {
    "cancelled": (41, 13),
    "edited": (67, 31),
    "deleted": (149, 23),
    "test": (193, 11),
    # The order's own rows never land; only its refund does.
    "never_landed": (701, 7),
    # Only the deletion record of the order lands.
    "only_tombstone": (467, 100),
}

# Customers who were there before the first day, as a share of the orders (at least ten people).
OLD_CUSTOMER_SHARE = 0.05
# Orders placed by somebody new. A fixed rhythm instead of chance gives each new customer a number
# without counting.
NEW_CUSTOMER_SHARE = 0.38

# A campaign goes out every third day to one of eight segments of the profiles.
CAMPAIGN_RHYTHM_DAYS = 3
SEGMENTS = 8

# Positions in `words.METRIC_NAMES`.
RECEIVED, OPENED, CLICKED, CLICKED_API, PLACED = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class Variant:
    """What is sold; `new_title` and `new_vendor` are its words in the second half of the history.

    `price` is in cents.
    """

    product_id: int
    variant_id: int
    sku: str
    title: str
    new_title: str
    vendor: str
    new_vendor: str
    variant_title: str
    price: int
    is_gift_card: bool


VARIANTS = [
    Variant(
        product_id=6_796_218_302_653 + 32_768 * product_no,
        variant_id=40_090_580_615_357 + 32_768 * (100 * product_no + variant_no),
        sku=f"LL-{product_no:03d}-{variant_no}" if product_no % 7 else "",
        title=product.title,
        new_title=product.new_title or product.title,
        vendor=product.vendor,
        new_vendor=product.new_vendor or product.vendor,
        variant_title=variant,
        price=product.price + 350 * variant_no,
        is_gift_card=product.gift_card,
    )
    for product_no, product in enumerate(words.PRODUCTS)
    for variant_no, variant in enumerate(product.variants)
]


@dataclass(frozen=True)
class Size:
    """How large a shop to build. `orders` counts orders placed, `days` the days of history."""

    orders: int
    days: int
    seed: int
    start: date

    @property
    def start_seconds(self) -> int:
        """Midnight (UTC) of the first day, in seconds since 1970."""
        midnight = datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC)
        return int(midnight.timestamp())

    @property
    def new_words_seconds(self) -> int:
        """When titles and vendors change, half way through the history."""
        return self.start_seconds + self.days * DAY // 2

    @property
    def end_seconds(self) -> int:
        """The first second after the history."""
        return self.start_seconds + self.days * DAY


def is_case(case: str, order_no: str = "order_no") -> str:
    """Return the SQL condition that the order numbered `order_no` has a case of `EVERY`."""
    modulo, remainder = EVERY[case]
    return f"{order_no} % {modulo} = {remainder}"


def build_orders(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    """Create the shop's macros and its table `orders` in `connection`, which must be empty."""
    _create_macros(connection, size)
    load_words(connection)
    _create_orders(connection, size)


def build_everything_else(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    """Create what follows from `orders`, but for `order_versions`.

    Tables of things: `purchases`, `customers`, `profiles`, `campaigns`. Tables of what lands, each
    with `key_no`, `kind`, `happened_at` and `is_tombstone`, as `order_versions` has them:
    `refunds`, `customer_versions`, `profile_versions`, `events`, `campaign_versions`,
    `flow_versions`, `list_versions`.
    """
    _create_refunds(connection, size)
    _create_customers(connection, size)
    _create_profiles(connection, size)
    _create_events(connection, size)


def _create_macros(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    """Create the dice: `roll` gives a large whole number, `chance` one in [0, 1)."""
    # The outer hash matters: DuckDB combines the hashes of several arguments by a plain xor, which
    # would make the rolls of one key under two names depend on each other.
    connection.execute(f"""
        create macro roll(what, key) as (hash(hash(key, what, {size.seed})) >> 1)::bigint;
        create macro chance(what, key) as (roll(what, key) % 1000000) / 1e6;
        create macro pick(items, what, key) as items[1 + roll(what, key) % len(items)];
    """)


def load_words(connection: duckdb.DuckDBPyConnection) -> None:
    """Load the hand-written words as list variables, which lambdas can index without a join.

    Variables belong to one connection: every cursor that renders records needs its own.
    """
    variables = {
        "variants": [asdict(variant) for variant in VARIANTS],
        "prices": [variant.price for variant in VARIANTS],
        "gift_cards": [
            number for number, variant in enumerate(VARIANTS, start=1) if variant.is_gift_card
        ],
        "first_names": words.FIRST_NAMES,
        "last_names": words.LAST_NAMES,
        "places": [asdict(place) for place in words.PLACES],
        "campaign_names": words.CAMPAIGN_NAMES,
        "flow_names": [list(flow) for flow in words.FLOW_NAMES],
        "list_names": [list(entry) for entry in words.LIST_NAMES],
        "metric_names": [list(metric) for metric in words.METRIC_NAMES],
    }
    for name, value in variables.items():
        connection.execute(f"set variable {name} = $value", {"value": value})


def _orders_per_day(size: Size) -> list[tuple[int, int, int]]:
    """Return (day, first order number, orders) for each day: slow growth and busy weekends."""
    weights = [
        (1 + 0.6 * day / size.days) * (1.25 if (size.start.weekday() + day) % 7 >= 5 else 1.0)
        for day in range(size.days)
    ]
    total, running, first, plan = sum(weights), 0.0, 0, []
    for day, weight in enumerate(weights):
        running += weight
        following = size.orders if day == size.days - 1 else round(size.orders * running / total)
        plan.append((day, first, following - first))
        first = following
    return plan


def _create_orders(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    """Create `orders`: one row per order as placed, with the times of what happens to it later.

    Money is in whole cents. In a tax-inclusive order the line prices contain `tax`.
    """
    plan = ", ".join(str(row) for row in _orders_per_day(size))
    old_customers = max(10, int(size.orders * OLD_CUSTOMER_SHARE))
    connection.execute(f"""
        -- A table of its own, because DuckDB reads tables, but not `unnest`, with several threads.
        create temp table placed as
        with days as (
            select * from (values {plan}) as days(day_no, first_order, orders)
        )

        select
            first_order + position as order_no,
            -- Spread evenly over the day, a little shuffled.
            {size.start_seconds} + day_no * {DAY} + (position * {DAY}) // orders as slot,
            greatest(1, {DAY} // orders) as slot_length,
        from (select *, unnest(range(orders)) as position from days);

        create table orders as
        with who as (
            select
                order_no,
                slot + (roll('second', order_no) % slot_length) as happened_at,
                floor((order_no + 1) * {NEW_CUSTOMER_SHARE})
                    > floor(order_no * {NEW_CUSTOMER_SHARE}) as is_new,
                {old_customers} + floor((order_no + 1) * {NEW_CUSTOMER_SHARE})::bigint as pool,
                chance('guest', order_no) < 0.08 as is_guest,
                chance('currency', order_no) as currency_chance,
                roll('lines', order_no) % 100 as lines_roll,
                roll('discount', order_no) % 100 as discount_roll,
                roll('shipping', order_no) % 10 as shipping_roll,
                roll('refund', order_no) % 100 as refund_roll,
            from placed
        ),

        terms as (
            select
                *,
                -- The power skews towards old customers: some come back very often.
                case
                    when is_new then pool - 1
                    else floor(pool * pow(chance('customer', order_no), 1.7))::bigint
                end as customer_no,
                case
                    when currency_chance < 0.88 then 'USD'
                    when currency_chance < 0.94 then 'EUR'
                    when currency_chance < 0.98 then 'GBP'
                    else 'CAD'
                end as currency,
                currency_chance < 0.09 or currency_chance between 0.88 and 0.979999
                    as taxes_included,
                case
                    when roll('tax exempt', order_no) % 25 = 0 then 0
                    when currency_chance < 0.88 then 725
                    when currency_chance < 0.94 then 1900
                    when currency_chance < 0.98 then 2000
                    else 1300
                end as tax_rate,  -- hundredths of a percent
                case
                    when lines_roll < 18 then 1
                    when lines_roll < 42 then 2
                    when lines_roll < 66 then 3
                    when lines_roll < 83 then 4
                    when lines_roll < 94 then 5
                    else 6
                end as line_count,
                case
                    when discount_roll < 62 then 'none'
                    when discount_roll < 80 then 'percent'
                    when discount_roll < 93 then 'first line'
                    when discount_roll < 98 then 'shipping'
                    else 'everything'
                end as discount_kind,
                case
                    when discount_roll < 62 then 0
                    when discount_roll < 72 then 10
                    when discount_roll < 80 then 15
                    when discount_roll < 98 then 0
                    else 100
                end as discount_percent,
                case
                    when shipping_roll < 3 then 0
                    when shipping_roll < 7 then 495
                    when shipping_roll < 9 then 795
                    else 1295
                end as shipping,
                case
                    when roll('tip', order_no) % 25 = 0
                        then 100 + (roll('tip size', order_no) % 900)
                    else 0
                end as tip,
            from who
        ),

        chosen as (
            select
                *,
                list_transform(range(line_count), lambda line: {{
                    line: line,
                    variant: 1 + floor(len(getvariable('prices'))
                        * pow(chance('variant', order_no * 8 + line), 1.6))::int,
                    quantity: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 5]
                        [1 + roll('quantity', order_no * 8 + line) % 20]
                }}) as choices,
            from terms
        ),

        priced as (
            select
                * exclude (choices),
                list_transform(choices, lambda choice: {{
                    line: choice.line,
                    variant: choice.variant,
                    quantity: choice.quantity,
                    price: getvariable('prices')[choice.variant],
                    discount: case
                        when discount_kind = 'first line' and choice.line = 0
                            then least(500, getvariable('prices')[choice.variant])
                        else getvariable('prices')[choice.variant]
                            * choice.quantity * discount_percent // 100
                    end,
                    tax_rate: if(
                        list_contains(getvariable('gift_cards'), choice.variant), 0, tax_rate
                    )
                }}) as priced_lines,
                case
                    when discount_kind in ('shipping', 'everything') then shipping else 0
                end as shipping_discount,
            from chosen
        ),

        taxed as (
            select
                * exclude (priced_lines),
                list_transform(priced_lines, lambda line: {{
                    line: line.line,
                    variant: line.variant,
                    quantity: line.quantity,
                    price: line.price,
                    discount: line.discount,
                    tax_rate: line.tax_rate,
                    tax: round(
                        (line.price * line.quantity - line.discount) * line.tax_rate
                        / (if(taxes_included, 10000 + line.tax_rate, 10000))
                    )::bigint
                }}) as lines,
                round(
                    (shipping - shipping_discount) * tax_rate
                    / (if(taxes_included, 10000 + tax_rate, 10000))
                )::bigint as shipping_tax,
            from priced
        ),

        summed as (
            select
                *,
                list_sum(list_transform(lines, lambda line: line.price * line.quantity))::bigint
                    as line_total,
                list_sum(list_transform(lines, lambda line: line.discount))::bigint
                    as line_discount,
                list_sum(list_transform(lines, lambda line: line.tax))::bigint as line_tax,
            from taxed
        )

        select
            order_no,
            happened_at,
            customer_no,
            is_new,
            is_guest,
            currency,
            taxes_included,
            tax_rate,
            discount_kind,
            discount_percent,
            lines,
            line_total,
            line_discount,
            line_tax,
            shipping,
            shipping_discount,
            shipping_tax,
            tip,
            line_total - line_discount - shipping_discount + shipping + tip
                + if(taxes_included, 0, line_tax + shipping_tax) as total_price,
            {is_case("test")} as is_test,
            {is_case("never_landed")} as never_landed,
            {is_case("only_tombstone")} as only_tombstone,
            roll('fulfilled', order_no) % 10 as fulfilled_roll,
            case
                when roll('fulfilled', order_no) % 10 < 1
                    then happened_at + 3600 + (roll('fulfilled at', order_no) % (3 * {DAY}))
            end as fulfilled_at,
            case
                when {is_case("edited")}
                    then happened_at + 7200 + (roll('edited at', order_no) % (3 * {DAY}))
            end as edited_at,
            case
                when {is_case("cancelled")}
                    then happened_at + 1800 + (roll('cancelled at', order_no) % (2 * {DAY}))
            end as cancelled_at,
            case
                when {is_case("deleted")} or {is_case("only_tombstone")}
                    then happened_at + {DAY} + (roll('deleted at', order_no) % (6 * {DAY}))
            end as deleted_at,
            case
                when {is_case("never_landed")} then 'once'
                when {is_case("cancelled")} and refund_roll < 50 then 'full'
                when refund_roll < 7 then 'full'
                when refund_roll < 19 then 'once'
                when refund_roll < 23 then 'twice'
                when refund_roll < 24 then 'three times'
            end as refund_plan,
            happened_at + {DAY} + (roll('refunded at', order_no) % (6 * {DAY})) as first_refund_at,
        from summed;

        drop table placed
    """)


def build_order_versions(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    """Create `order_versions`: what the source shows of an order after each thing that happens."""
    connection.execute(f"""
        create table order_versions as
        with happenings as (
            select
                order_no,
                only_tombstone,
                unnest([
                    {{kind: 0, name: 'placed', happened_at: happened_at}},
                    {{kind: 1, name: 'fulfilled', happened_at: fulfilled_at}},
                    {{kind: 2, name: 'edited', happened_at: edited_at}},
                    {{kind: 3, name: 'cancelled', happened_at: cancelled_at}},
                    {{
                        kind: 4,
                        name: 'refunded',
                        happened_at: if(refund_plan is null, null, first_refund_at + 2)
                    }},
                    {{
                        kind: 5,
                        name: 'refunded again',
                        happened_at: if(
                            refund_plan in ('twice', 'three times'),
                            first_refund_at + 2 * {DAY} + 2,
                            null
                        )
                    }},
                    {{kind: 6, name: 'deleted', happened_at: deleted_at}}
                ], recursive := true),
            from orders
            where not never_landed
        )

        select order_no as key_no, kind, happened_at, kind = 6 as is_tombstone
        from happenings
        where happened_at < {size.end_seconds} and (kind = 6 or not only_tombstone)
    """)


def _create_refunds(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    """Create `refunds`: one row per refund; `subtotal` and `tax` of its lines are in cents.

    Subtotals are without tax in every shop, so that a full refund cancels the sale.
    """
    connection.execute(f"""
        create table refunds as
        with planned as (
            select
                *,
                unnest(case refund_plan
                    when 'full' then ['all']
                    when 'once' then ['first line']
                    when 'twice' then
                        if(len(lines) > 1, ['first line', 'last line'], ['first line', 'shipping'])
                    else if(
                        len(lines) > 1,
                        ['first line', 'last line', 'shipping'],
                        ['first line', 'shipping', 'nothing']
                    )
                end) as scope,
                generate_subscripts(case refund_plan
                    when 'full' then [1] when 'once' then [1] when 'twice' then [1, 2]
                    else [1, 2, 3]
                end, 1) as refund_no,
            from orders
            where refund_plan is not null
        ),

        chosen as (
            select
                order_no,
                refund_no,
                order_no * 4 + refund_no as key_no,
                scope,
                first_refund_at + (refund_no - 1) * 2 * {DAY} as happened_at,
                currency,
                list_transform(
                    case scope
                        when 'all' then lines
                        when 'first line' then [lines[1]]
                        when 'last line' then [lines[-1]]
                        else []
                    end,
                    lambda line: {{
                        line: line.line,
                        variant: line.variant,
                        ordered: line.quantity,
                        quantity: if(scope = 'first line', 1, line.quantity),
                        price: line.price,
                        net: line.price * line.quantity - line.discount
                            - if(taxes_included, line.tax, 0),
                        tax: line.tax
                    }}
                ) as picked,
                if(
                    scope in ('all', 'shipping'),
                    shipping - shipping_discount - if(taxes_included, shipping_tax, 0),
                    0
                ) as shipping,
                if(scope in ('all', 'shipping'), shipping_tax, 0) as shipping_tax,
                if(
                    scope = 'nothing' or roll('discrepancy', order_no * 4 + refund_no) % 20 = 0,
                    250,
                    0
                ) as discrepancy,
                if(
                    scope = 'nothing',
                    75,
                    roll('transactions', order_no * 4 + refund_no) % 100
                ) as transactions_roll,
            from planned
        ),

        measured as (
            select
                * exclude (picked),
                list_transform(picked, lambda line: {{
                    line: line.line,
                    variant: line.variant,
                    ordered: line.ordered,
                    quantity: line.quantity,
                    price: line.price,
                    subtotal: line.net * line.quantity // line.ordered,
                    tax: line.tax * line.quantity // line.ordered
                }}) as lines,
            from chosen
        )

        select
            *,
            coalesce(list_sum(list_transform(lines, lambda line: line.subtotal + line.tax)), 0)
                ::bigint + shipping + shipping_tax + discrepancy as amount,
            case
                when transactions_roll < 72 then 'success'
                when transactions_roll < 82 then 'none'
                when transactions_roll < 89 then 'failure, success'
                when transactions_roll < 93 then 'two parts'
                when transactions_roll < 96 then 'void, success'
                when transactions_roll < 98 then 'sale, success'
                else 'pending'
            end as transactions_kind,
            0 as kind,
            false as is_tombstone,
        from measured
        where happened_at < {size.end_seconds}
    """)


def _create_customers(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    """Create `purchases` (running totals), `customers` and `customer_versions`."""
    old_customers = max(10, int(size.orders * OLD_CUSTOMER_SHARE))
    connection.execute(f"""
        create table purchases as
        select
            order_no,
            customer_no,
            happened_at,
            count(*) over (partition by customer_no order by order_no) as orders_count,
            sum(total_price) over (partition by customer_no order by order_no)::bigint
                as total_spent,
        from orders
        where not is_guest and not is_test and not never_landed and not only_tombstone
        order by order_no;

        create table customers as
        select
            customer_no,
            {size.start_seconds} - 3600 - (roll('joined', customer_no) % (300 * {DAY}))
                as created_at,
        from range({old_customers}) as old_customers(customer_no)
        union all
        select customer_no, happened_at - 120 as created_at
        from orders
        where is_new;

        create table customer_versions as
        select
            customer_no as key_no,
            0 as kind,
            created_at as happened_at,
            created_at,
            0 as orders_count,
            0::bigint as total_spent,
            null::bigint as last_order_no,
            false as is_tombstone,
        from customers
        union all
        select
            purchases.customer_no,
            purchases.orders_count,
            purchases.happened_at + 30,
            customers.created_at,
            purchases.orders_count,
            purchases.total_spent,
            purchases.order_no,
            false,
        from purchases
        inner join customers using (customer_no)
        where
            chance('customer version', purchases.order_no) < 0.15
            and purchases.happened_at + 30 < {size.end_seconds}
    """)


def _create_profiles(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    """Create `profiles` and `profile_versions`.

    Nine customers in ten have a profile with their number. One in 33 has a second one under the
    same e-mail address, and there are subscribers who never bought.
    """
    connection.execute(f"""
        create table profiles as
        select customer_no as profile_no, customer_no, created_at + 60 as created_at
        from customers
        where customer_no % 10 <> 4
        union all
        select 1000000000 + customer_no, customer_no, created_at + 5 * {DAY}
        from customers
        where customer_no % 33 = 5 and created_at + 5 * {DAY} < {size.end_seconds}
        union all
        select
            2000000000 + subscriber_no,
            null,
            {size.start_seconds}
                + (roll('subscribed', subscriber_no) % ({size.days} * {DAY}))
        from range(5 + {size.orders} // 20) as subscribers(subscriber_no);

        create table profile_versions as
        select
            profile_no as key_no,
            0 as kind,
            created_at as happened_at,
            created_at,
            customer_no,
            0 as orders_count,
            0::bigint as total_spent,
        from profiles
        union all
        select
            profiles.profile_no,
            purchases.orders_count,
            purchases.happened_at + 900,
            profiles.created_at,
            profiles.customer_no,
            purchases.orders_count,
            purchases.total_spent,
        from purchases
        inner join profiles on purchases.customer_no = profiles.profile_no
        where
            chance('profile version', purchases.order_no) < 0.12
            and purchases.happened_at + 900 < {size.end_seconds};

        alter table profile_versions add column is_tombstone boolean default false
    """)


def _create_events(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    """Create `campaigns` and `events`, and the versions of campaigns, flows and lists.

    The `metric_no` of an event is a position in `words.METRIC_NAMES`.
    """
    campaigns = -(-size.days // CAMPAIGN_RHYTHM_DAYS)
    connection.execute(f"""
        create table campaigns as
        select
            campaign_no,
            {size.start_seconds} + campaign_no * {CAMPAIGN_RHYTHM_DAYS * DAY} + 36000 as sent_at,
            (campaign_no * 5) % {SEGMENTS} as segment,
        from range({campaigns}) as campaigns(campaign_no);

        -- Drafted, sent, and some tidied away later; two drafts are never sent.
        create table campaign_versions as
        select
            campaign_no as key_no,
            0 as kind,
            sent_at - 2 * {DAY} as happened_at,
            sent_at - 2 * {DAY} as created_at,
            null::bigint as sent_at,
            false as is_tombstone,
        from campaigns
        union all
        select campaign_no, 1, sent_at + 600, sent_at - 2 * {DAY}, sent_at, false
        from campaigns
        where sent_at + 600 < {size.end_seconds}
        union all
        select campaign_no, 2, sent_at + 2 * {DAY}, sent_at - 2 * {DAY}, sent_at, false
        from campaigns
        where campaign_no % 5 = 2 and sent_at + 2 * {DAY} < {size.end_seconds}
        union all
        select {campaigns} + draft_no, 0, created_at, created_at, null, false
        from (
            select draft_no, {size.start_seconds} + (draft_no + 1) * 40000 as created_at
            from range(2) as drafts(draft_no)
        );

        create table flow_versions as
        select
            flow_no as key_no,
            version as kind,
            {size.start_seconds} + if(version = 0, -200 * {DAY}, 40 * 3600) + flow_no
                as happened_at,
            {size.start_seconds} - 200 * {DAY} + flow_no as created_at,
            false as is_tombstone,
        from range({len(words.FLOW_NAMES)}) as flows(flow_no), range(2) as versions(version)
        where version = 0 or flow_no = 1;

        create table list_versions as
        select
            list_no as key_no,
            version as kind,
            {size.start_seconds} + if(version = 0, -150 * {DAY}, 60 * 3600) + list_no
                as happened_at,
            {size.start_seconds} - 150 * {DAY} + list_no as created_at,
            false as is_tombstone,
        from range({len(words.LIST_NAMES)}) as lists(list_no), range(2) as versions(version)
        where version = 0 or list_no = 2;

        create table events as
        with received as (
            select
                campaigns.campaign_no,
                profiles.profile_no,
                campaigns.campaign_no * 4000000000 + profiles.profile_no as pair_no,
                campaigns.sent_at + (roll('sent', profiles.profile_no) % 1800) as happened_at,
            from profiles
            inner join campaigns on
                profiles.profile_no % {SEGMENTS} = campaigns.segment
                and profiles.created_at < campaigns.sent_at
        ),

        opened as (
            select *, happened_at + 60 + (roll('open at', pair_no) % (2 * {DAY})) as opened_at
            from received
            where chance('open', pair_no) < 0.38
        ),

        clicked as (
            select *, opened_at + 5 + (roll('click at', pair_no) % 3600) as clicked_at
            from opened
            where chance('click', pair_no) < 0.3
        ),

        welcomed as (
            select *, created_at + 3600 as welcomed_at
            from profiles
            where roll('welcome', profile_no) % 5 = 0 and created_at >= {size.start_seconds}
        ),

        everything as (
            select {RECEIVED} as metric_no, 0 as repeat, happened_at, profile_no, campaign_no,
                null::int as flow_no, null::bigint as order_no, null::bigint as value
            from received
            union all
            select {OPENED}, 0, opened_at, profile_no, campaign_no, null, null, null
            from opened
            union all
            -- Some people open the same message twice.
            select {OPENED}, 1, opened_at + 7200, profile_no, campaign_no, null, null, null
            from opened
            where roll('open again', pair_no) % 20 = 0
            union all
            select if(roll('click by', pair_no) % 8 = 0, {CLICKED_API}, {CLICKED}), 0,
                clicked_at, profile_no, campaign_no, null, null, null
            from clicked
            union all
            select {RECEIVED}, 0, welcomed_at, profile_no, null, 1, null, null
            from welcomed
            union all
            select {OPENED}, 0, welcomed_at + 1800, profile_no, null, 1, null, null
            from welcomed
            where profile_no % 2 = 0
            union all
            select {PLACED}, 0, happened_at + 5, customer_no, null, null, order_no, total_price
            from orders
            where not is_guest and not is_test and customer_no % 10 <> 4
        )

        select
            (hash(metric_no, repeat, profile_no, campaign_no, flow_no, order_no) >> 1)::bigint
                as key_no,
            0 as kind,
            metric_no,
            happened_at,
            profile_no,
            campaign_no,
            flow_no,
            order_no,
            value,
            false as is_tombstone,
        from everything
        where happened_at < {size.end_seconds}
    """)
