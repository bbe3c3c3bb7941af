"""What the sources' connectors emit: the shop's facts dressed up as Shopify and Klaviyo records.

Each stream is a SELECT whose column names and types are those of Airbyte's files. It reads a table
`delivered_<stream>` (see `delivery.py`), one row per record in a file, and the shop's own tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from lotus_lake.sample.shop import Size

SHOP_URL = "lotus-lake-sample"


@dataclass(frozen=True)
class Grown:
    """Which of the fields that appear during the history a file already has.

    `column` is a column of the root (`orders.po_number`, `profiles.segments`), `nested` a field
    inside a column (`orders.line_items[].pre_tax_price`, `profiles.attributes.locale`).
    """

    column: bool
    nested: bool


def create_record_macros(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    """Create the macros that the SELECTs below share: money, names, identifiers."""
    connection.execute(f"""
        create macro money(cents) as cents / 100.0;
        create macro money_text(cents) as (cents / 100.0)::decimal(18, 2)::varchar;
        create macro money_set(cents, currency, presentment, presentment_rate) as {{
            shop_money: {{amount: cents / 100.0, currency_code: currency}},
            presentment_money: {{
                amount: round(cents * presentment_rate) / 100.0, currency_code: presentment
            }}
        }};

        create macro shopify_order_id(order_no) as 5010584895677 + order_no * 32768;
        create macro shopify_line_id(order_no, line) as 12204214845629 + order_no * 32768 + line;
        create macro shopify_refund_id(order_no, refund_no) as
            845032358077 + order_no * 32768 + refund_no;
        create macro shopify_customer_id(customer_no) as 6569096478909 + customer_no * 32768;
        create macro klaviyo_url(kind, id) as
            'https://a.klaviyo.com/api/' || kind || '/' || id || '/';
        create macro ulid(what, number) as
            '01' || hex(hash(what, number)) || left(hex(hash(number, what, 1)), 8);
        create macro profile_id(profile_no) as ulid('profile', profile_no);
        create macro campaign_id(campaign_no) as ulid('campaign', campaign_no);
        create macro message_id(campaign_no) as ulid('message', campaign_no);
        create macro flow_id(flow_no) as 'Fl' || lpad(flow_no::varchar, 4, '0');
        create macro list_id(list_no) as 'Ls' || lpad(list_no::varchar, 4, '0');
        create macro metric_id(metric_no) as 'Mt' || lpad(metric_no::varchar, 4, '0');

        create macro first_name(person) as pick(getvariable('first_names'), 'first name', person);
        create macro last_name(person) as pick(getvariable('last_names'), 'last name', person);
        create macro place(person) as pick(getvariable('places'), 'place', person);
        -- Some customers only gave a phone number; some e-mail addresses keep a capital.
        create macro shopify_email(customer_no) as case
            when customer_no % 57 = 9 then null
            when customer_no % 20 = 1 then 'Shopper' || customer_no || '@Example.com'
            else 'shopper' || customer_no || '@example.com'
        end;
        -- The same address, as it was typed into another form.
        create macro klaviyo_email(customer_no, profile_no) as case
            when customer_no is null then 'subscriber' || profile_no || '@example.org'
            when profile_no % 7 = 1 then upper(shopify_email(customer_no))
            when profile_no % 7 = 2 then ' ' || shopify_email(customer_no) || ' '
            else shopify_email(customer_no)
        end;
        create macro phone(person) as '+1555' || lpad((person % 10000000)::varchar, 7, '0');

        create macro has_new_words(sold_at) as sold_at >= {size.new_words_seconds};
        create macro address(person) as {{
            first_name: first_name(person),
            address1: place(person).street,
            phone: phone(person),
            city: place(person).city,
            zip: place(person).postal_code,
            province: place(person).province,
            country: place(person).country,
            last_name: last_name(person),
            address2: null::varchar,
            company: null::varchar,
            name: first_name(person) || ' ' || last_name(person),
            country_code: place(person).country_code,
            province_code: place(person).province_code
        }};
    """)


def airbyte_columns(stream: str, generation: str = "0") -> str:
    """Return the SQL of Airbyte's own columns; `generation` is an SQL expression.

    `_airbyte_raw_id` is still two halves here, because Arrow writes UUIDs ten times as fast, and
    `_airbyte_extracted_at` whole milliseconds, because DuckDB has no type for these with a time
    zone: `delivery.py` sets both.
    """
    return f"""
        -- An exact duplicate (copy 1) keeps the raw id of the first copy.
        {{
            high: hash('{stream}', key_no, kind, happened_at, if(copy = 1, 0, copy)),
            low: hash(key_no, kind, happened_at, if(copy = 1, 0, copy), '{stream}', 'low')
        }} as _airbyte_raw_id,
        extracted_ms as _airbyte_extracted_at,
        {{
            sync_id: 5000 + 3 * file_sync::bigint,
            changes: if(
                key_no % 997 = 1,
                [{{
                    field: 'note',
                    change: 'NULLED',
                    reason: 'DESTINATION_SERIALIZATION_ERROR'
                }}],
                []
            )
        }} as _airbyte_meta,
        ({generation})::bigint as _airbyte_generation_id,"""


def select_orders(grown: Grown, first_file: int, last_file: int, orders: range) -> str:
    """Return the SELECT of live orders in the files `first_file` to `last_file`.

    `orders` is a range that holds the numbers of all orders in these files.
    """
    po_number = "if(order_no % 6 = 0, 'PO-' || order_no, null) as po_number," * grown.column
    return f"""
        with delivered as (
            select *
            from delivered_orders
            where file_no between {first_file} and {last_file} and not is_tombstone
        ),

        versions as (
            select
                orders.* exclude (happened_at),
                orders.happened_at as placed_at,
                delivered.*,
                coalesce(edited_at <= delivered.happened_at, false) as is_edited,
                coalesce(cancelled_at <= delivered.happened_at, false) as is_cancelled,
                refund_plan is not null and first_refund_at <= delivered.happened_at
                    as is_refunded,
                if(currency = 'USD' and order_no % 33 = 4, 'CAD', currency) as presentment,
                if(currency = 'USD' and order_no % 33 = 4, 1.35::double, 1::double) as rate,
                -- An edit adds one more of the first line, after the totals were agreed.
                if(edited_at <= delivered.happened_at, lines[1].price, 0) as edit_price,
                if(is_guest, -order_no, customer_no) as person,
            from delivered
            inner join orders on delivered.key_no = orders.order_no
            -- As literals, so that DuckDB reads a slice of the orders, not all of them.
            where order_no between {orders.start} and {orders.stop - 1}
            order by file_no, order_no, delivered.happened_at, copy
        )

        select
            file_no,
            {airbyte_columns("orders")}
            shopify_order_id(order_no) as id,
            'gid://shopify/Order/' || shopify_order_id(order_no) as admin_graphql_api_id,
            if(is_cancelled, ['customer', 'inventory', 'fraud', 'other'][1 + order_no % 4], null)
                as cancel_reason,
            if(is_cancelled, to_timestamp(cancelled_at), null) as cancelled_at,
            {{
                accept_language: 'en',
                browser_height: null::bigint,
                browser_ip: '192.0.2.' || (order_no % 250),
                browser_width: if(order_no % 3 = 0, 1280, null)::bigint,
                session_hash: null::varchar,
                user_agent: 'Mozilla/5.0 (X11; Linux x86_64) "Sample"/' || (order_no % 9)
            }} as client_details,
            to_timestamp(placed_at) as created_at,
            currency,
            money(line_total + edit_price - line_discount) as current_subtotal_price,
            money(line_discount + shipping_discount) as current_total_discounts,
            money(total_price + edit_price) as current_total_price,
            money(line_tax + shipping_tax) as current_total_tax,
            if(is_guest, null, {{
                id: shopify_customer_id(customer_no),
                email: shopify_email(customer_no),
                first_name: first_name(customer_no),
                last_name: last_name(customer_no),
                state: if(customer_no % 4 = 0, 'enabled', 'disabled'),
                tags: if(customer_no % 9 = 0, 'vip, returning', ''),
                currency: currency
            }}) as customer,
            null::bigint as customer_id,
            null::timestamptz as deleted_at,
            null::varchar as deleted_message,
            null::varchar as deleted_description,
            if(
                discount_kind in ('percent', 'shipping', 'everything'),
                [{{
                    code: upper(discount_kind) || discount_percent,
                    amount: money_text(line_discount + shipping_discount),
                    type: if(discount_kind = 'shipping', 'shipping', 'percentage')
                }}],
                []
            ) as discount_codes,
            if(
                is_guest,
                if(order_no % 2 = 0, 'guest' || order_no || '@example.net', ''),
                shopify_email(customer_no)
            ) as email,
            case
                when is_refunded and refund_plan = 'full' then 'refunded'
                when is_refunded then 'partially_refunded'
                when is_cancelled then 'voided'
                when order_no % 40 = 3 then 'pending'
                else 'paid'
            end as financial_status,
            case
                when fulfilled_at <= happened_at or fulfilled_roll between 1 and 7 then 'fulfilled'
                when fulfilled_roll = 8 then 'partial'
            end as fulfillment_status,
            -- What `arrays.line_items` makes the column of.
            {{
                lines: lines,
                first_line_id: shopify_line_id(order_no, 0),
                currency: currency,
                taxes_included: taxes_included,
                adds_one: is_edited,
                discounts_first_line: discount_kind = 'first line',
                new_words: has_new_words(placed_at)
            }} as line_items,
            '#' || (1001 + order_no) as name,
            if(order_no % 50 = 8, 'Leave at the neighbour''s,' || chr(10) || '"2nd floor"', null)
                as note,
            order_no + 1001 as order_number,
            if(order_no % 7 = 0, ['gift_card', 'shopify_payments'], ['shopify_payments'])
                as payment_gateway_names,
            {po_number}
            presentment as presentment_currency,
            to_timestamp(placed_at) as processed_at,
            {{
                first_name: first_name(person),
                address1: place(person).street,
                city: place(person).city,
                zip: place(person).postal_code,
                province: place(person).province,
                country: place(person).country,
                last_name: last_name(person),
                country_code: place(person).country_code
            }} as shipping_address,
            if(
                shipping = 0,
                [],
                [{{
                    id: 4100000000000 + order_no,
                    code: 'Standard',
                    discounted_price: (shipping - shipping_discount) / 100.0,
                    price: shipping / 100.0,
                    source: 'shopify',
                    title: 'Standard',
                    tax_lines: if(
                        shipping_tax = 0, '[]', '[{{"price":"' || money_text(shipping_tax) || '"}}]'
                    ),
                    discount_allocations: if(
                        shipping_discount = 0,
                        [],
                        [{{
                            id: null::varchar,
                            amount: money_text(shipping_discount),
                            discount_application_index: 0::double
                        }}]
                    )
                }}]
            ) as shipping_lines,
            '{SHOP_URL}' as shop_url,
            ['web', 'web', 'web', 'pos', 'shopify_draft_order'][1 + order_no % 5] as source_name,
            money(line_total - line_discount) as subtotal_price,
            if(order_no % 12 = 5, 'wholesale, d''été', '') as tags,
            taxes_included,
            is_test as test,
            money(line_discount + shipping_discount) as total_discounts,
            money(line_total) as total_line_items_price,
            money(total_price) as total_price,
            money_set(total_price, currency, presentment, rate) as total_price_set,
            money_set(shipping, currency, presentment, rate) as total_shipping_price_set,
            money(line_tax + shipping_tax) as total_tax,
            money(tip) as total_tip_received,
            100 + (order_no * 37) % 5000 as total_weight,
            to_timestamp(happened_at) as updated_at,
        from versions
    """


def select_order_tombstones(first_file: int, last_file: int) -> str:
    """Return the SELECT of deletion records: id, when, and little else.

    Every other one has no `updated_at`; the others repeat `deleted_at` there.
    """
    return f"""
        select
            file_no,
            {airbyte_columns("orders")}
            shopify_order_id(key_no) as id,
            to_timestamp(happened_at) as deleted_at,
            'Order deleted' as deleted_message,
            'Order #' || (1001 + key_no) || ' was deleted.' as deleted_description,
            '{SHOP_URL}' as shop_url,
            if(key_no % 2 = 0, null, to_timestamp(happened_at)) as updated_at,
        from delivered_orders
        where file_no between {first_file} and {last_file} and is_tombstone
        order by file_no, key_no, happened_at, copy
    """


def select_refunds(first_file: int, last_file: int) -> str:
    """Return the SELECT of refunds; amounts of transactions and adjustments are strings."""
    return f"""
        with delivered as (
            select *, shopify_order_id(order_no) as order_id,
                shopify_refund_id(order_no, refund_no) as refund_id,
            from delivered_order_refunds
            where file_no between {first_file} and {last_file}
            order by file_no, key_no, happened_at, copy
        ),

        paid as (
            select
                *,
                list_transform(lines, lambda line: {{
                    line: line.line,
                    ordered: line.ordered,
                    quantity: line.quantity,
                    price: line.price,
                    subtotal: line.subtotal,
                    tax: line.tax,
                    stock: getvariable('variants')[line.variant]
                }}) as stocked_lines,
                case transactions_kind
                    when 'none' then []
                    when 'success' then
                        [{{kind: 'refund', status: 'success', amount: amount}}]
                    when 'failure, success' then [
                        {{kind: 'refund', status: 'failure', amount: amount}},
                        {{kind: 'refund', status: 'success', amount: amount}}
                    ]
                    when 'two parts' then [
                        {{kind: 'refund', status: 'success', amount: amount // 3}},
                        {{kind: 'refund', status: 'success', amount: amount - amount // 3}}
                    ]
                    when 'void, success' then [
                        {{kind: 'void', status: 'success', amount: amount}},
                        {{kind: 'refund', status: 'success', amount: amount}}
                    ]
                    when 'sale, success' then [
                        {{kind: 'sale', status: 'success', amount: amount}},
                        {{kind: 'refund', status: 'success', amount: amount}}
                    ]
                    else [{{kind: 'refund', status: 'pending', amount: amount}}]
                end as payments,
                if(shipping + shipping_tax = 0, [], [{{
                    kind: 'shipping_refund',
                    reason: 'Shipping refund',
                    amount: -shipping,
                    tax_amount: -shipping_tax
                }}])
                || if(discrepancy = 0, [], [{{
                    kind: 'refund_discrepancy',
                    reason: 'Refund discrepancy',
                    amount: -discrepancy,
                    tax_amount: 0::bigint
                }}]) as adjustments,
            from delivered
        )

        select
            file_no,
            {airbyte_columns("order_refunds")}
            'gid://shopify/Refund/' || refund_id as admin_graphql_api_id,
            to_timestamp(happened_at) as created_at,
            '[]' as duties,
            refund_id as id,
            if(key_no % 15 = 2, 'Customer''s "wrong size"; sent back', null) as note,
            list_transform(adjustments, lambda adjustment: {{
                order_id: order_id,
                tax_amount: money_text(adjustment.tax_amount),
                refund_id: refund_id,
                amount: money_text(adjustment.amount),
                kind: adjustment.kind,
                id: refund_id * 2 + if(adjustment.kind = 'shipping_refund', 0, 1),
                reason: adjustment.reason
            }}) as order_adjustments,
            order_id,
            to_timestamp(happened_at) as processed_at,
            list_transform(stocked_lines, lambda line: {{
                location_id: 63590301885::bigint,
                subtotal_set: money_set(line.subtotal, currency, currency, 1::double),
                total_tax_set: money_set(line.tax, currency, currency, 1::double),
                line_item_id: shopify_line_id(order_no, line.line),
                total_tax: line.tax / 100.0,
                quantity: line.quantity::bigint,
                id: refund_id * 8 + line.line,
                line_item: {{
                    gift_card: line.stock.is_gift_card,
                    price: line.price / 100.0,
                    sku: line.stock.sku,
                    quantity: line.ordered::bigint,
                    variant_id: line.stock.variant_id::bigint,
                    vendor: line.stock.vendor,
                    id: shopify_line_id(order_no, line.line),
                    product_id: line.stock.product_id::bigint,
                    title: line.stock.title
                }},
                subtotal: line.subtotal / 100.0,
                restock_type: if(key_no % 3 = 0, 'no_restock', 'return')
            }}) as refund_line_items,
            key_no % 3 <> 0 as restock,
            '{SHOP_URL}' as shop_url,
            money_set(0, currency, currency, 1::double) as total_duties_set,
            list_transform(payments, lambda payment, position: {{
                id: refund_id * 4 + position,
                admin_graphql_api_id: 'gid://shopify/OrderTransaction/'
                    || (refund_id * 4 + position),
                amount: money_text(payment.amount),
                created_at: to_timestamp(happened_at),
                currency: currency,
                gateway: 'shopify_payments',
                kind: payment.kind,
                message: if(payment.status = 'success', 'Approved', 'The card''s bank said no'),
                order_id: order_id,
                parent_id: refund_id * 4 - 1,
                processed_at: to_timestamp(happened_at),
                receipt: {{paid_amount: money_text(payment.amount)}},
                status: payment.status,
                test: false
            }}) as transactions,
            if(key_no % 4 = 0, 74861019325, null)::bigint as user_id,
        from paid
    """


def select_customers(first_file: int, last_file: int) -> str:
    """Return the SELECT of Shopify customers."""
    return f"""
        with delivered as (
            select *, key_no as customer_no, address(key_no) as home
            from delivered_customers
            where file_no between {first_file} and {last_file}
            order by file_no, key_no, happened_at, copy
        ),

        housed as (
            select
                *,
                if(customer_no % 29 = 3, null, {{
                    city: home.city,
                    address1: home.address1,
                    zip: home.zip,
                    id: 8092523135165 + customer_no * 32768,
                    country_name: home.country,
                    province: home.province,
                    phone: home.phone,
                    country: home.country,
                    first_name: home.first_name,
                    customer_id: shopify_customer_id(customer_no),
                    "default": true,
                    last_name: home.last_name,
                    country_code: home.country_code,
                    name: home.name,
                    province_code: home.province_code,
                    address2: home.address2,
                    company: home.company
                }}) as default_address,
            from delivered
        )

        select
            file_no,
            {airbyte_columns("customers")}
            customer_no % 3 = 0 as accepts_marketing,
            'gid://shopify/Customer/' || shopify_customer_id(customer_no) as admin_graphql_api_id,
            to_timestamp(created_at) as created_at,
            'USD' as currency,
            default_address,
            shopify_email(customer_no) as email,
            {{
                consent_updated_at: if(customer_no % 3 = 0, to_timestamp(created_at), null),
                opt_in_level: 'single_opt_in',
                state: if(customer_no % 3 = 0, 'subscribed', 'not_subscribed')
            }} as email_marketing_consent,
            home.first_name as first_name,
            shopify_customer_id(customer_no) as id,
            home.last_name as last_name,
            shopify_order_id(last_order_no) as last_order_id,
            '#' || (1001 + last_order_no) as last_order_name,
            if(customer_no % 31 = 2, 'Calls on Mondays; don''t ring "twice"', null) as note,
            orders_count::bigint as orders_count,
            if(customer_no % 5 = 0, home.phone, null) as phone,
            '{SHOP_URL}' as shop_url,
            if(customer_no % 4 = 0, 'enabled', 'disabled') as state,
            if(orders_count > 5, 'vip, returning', '') as tags,
            false as tax_exempt,
            '[]' as tax_exemptions,
            money(total_spent) as total_spent,
            to_timestamp(happened_at) as updated_at,
            customer_no % 6 <> 0 as verified_email,
        from housed
    """


def select_profiles(grown: Grown, first_file: int, last_file: int) -> str:
    """Return the SELECT of Klaviyo profiles."""
    locale = "locale: if(profile_no % 3 = 0, 'en-US', null)," * grown.nested
    segments = "if(profile_no % 9 = 0, '[\"Engaged\"]', null) as segments," * grown.column
    return f"""
        with delivered as (
            select
                *,
                key_no as profile_no,
                coalesce(customer_no, key_no) as person,
                place(coalesce(customer_no, key_no)) as home,
            from delivered_profiles
            where file_no between {first_file} and {last_file}
            order by file_no, key_no, happened_at, copy
        )

        select
            file_no,
            {airbyte_columns("profiles")}
            {{
                anonymous_id: null::varchar,
                created: to_timestamp(created_at),
                email: klaviyo_email(customer_no, profile_no),
                external_id: null::varchar,
                first_name: if(profile_no % 11 = 0, null, first_name(person)),
                last_event_date: if(kind > 0, to_timestamp(happened_at), null),
                last_name: if(profile_no % 11 = 0, null, last_name(person)),
                {locale}
                location: {{
                    address1: home.street,
                    city: home.city,
                    country: home.country,
                    region: home.province,
                    timezone: null::varchar,
                    zip: home.postal_code
                }},
                organization: null::varchar,
                phone_number: if(profile_no % 5 = 0, phone(person), null),
                predictive_analytics: {{
                    average_days_between_orders: if(orders_count > 1, 17.5::double, null),
                    average_order_value: if(
                        orders_count > 0, round(total_spent / orders_count) / 100.0, null
                    ),
                    churn_probability: if(orders_count > 0, 0.9 / (1 + orders_count), null)::double,
                    expected_date_of_next_order: null::varchar,
                    historic_clv: if(orders_count > 0, total_spent / 100.0, null),
                    historic_number_of_orders: if(orders_count > 0, orders_count, null)::bigint,
                    predicted_clv: if(orders_count > 0, round(total_spent * 0.4) / 100.0, null),
                    predicted_number_of_orders: if(orders_count > 0, orders_count * 0.4, null)
                        ::double,
                    total_clv: if(orders_count > 0, round(total_spent * 1.4) / 100.0, null)
                }},
                properties: '{{"favourite colour":"blé","note":"it''s \\"fine\\""}}',
                subscriptions: {{
                    email: {{
                        marketing: {{
                            can_receive_email_marketing: profile_no % 3 <> 0,
                            consent: case profile_no % 4
                                when 0 then 'NEVER_SUBSCRIBED'
                                when 2 then 'UNSUBSCRIBED'
                                else 'SUBSCRIBED'
                            end,
                            consent_timestamp: if(
                                profile_no % 4 = 0, null, to_timestamp(created_at)
                            ),
                            double_optin: profile_no % 8 = 1,
                            method: 'PREFERENCE_PAGE'
                        }}
                    }},
                    sms: {{
                        marketing: {{
                            can_receive_sms_marketing: false,
                            consent: 'NEVER_SUBSCRIBED'
                        }}
                    }}
                }},
                title: null::varchar,
                updated: to_timestamp(happened_at)
            }} as attributes,
            profile_id(profile_no) as id,
            {{self: klaviyo_url('profiles', profile_id(profile_no))}} as links,
            {segments}
            'profile' as type,
            to_timestamp(happened_at) as updated,
        from delivered
    """


def select_events(first_file: int, last_file: int) -> str:
    """Return the SELECT of Klaviyo events; `event_properties` is JSON text, as it is free-form.

    One message in twenty is named by its campaign's id instead of its own.
    """
    return f"""
        with delivered as (
            select
                *,
                lower(to_base(key_no, 36)) as event_id,
                md5('event' || key_no)::uuid::varchar as event_uuid,
            from delivered_events
            where file_no between {first_file} and {last_file}
            order by file_no, happened_at, key_no, copy
        )

        select
            file_no,
            {airbyte_columns("events")}
            {{
                datetime: to_timestamp(happened_at),
                event_properties: '{{"$event_id":"' || happened_at || '"' || case
                    when campaign_no is not null then
                        ',"$message":"'
                        || if(key_no % 20 = 3, campaign_id(campaign_no), message_id(campaign_no))
                        || '","Campaign Name":'
                        || to_json(getvariable('campaign_names')
                            [1 + campaign_no % len(getvariable('campaign_names'))])::varchar
                        || ',"Subject":"It''s \\"here\\""'
                    when flow_no is not null then
                        ',"$flow":"' || flow_id(flow_no) || '"'
                        || ',"$message":"FlowMsg' || flow_no || '"'
                    else
                        ',"$value":' || money_text(value)
                        || ',"OrderId":"' || shopify_order_id(order_no) || '"'
                end || '}}',
                timestamp: happened_at,
                uuid: event_uuid
            }} as attributes,
            to_timestamp(happened_at) as datetime,
            event_id as id,
            {{self: klaviyo_url('events', event_id)}} as links,
            {{
                metric: {{data: {{type: 'metric', id: metric_id(metric_no)}}}},
                profile: {{data: {{type: 'profile', id: profile_id(profile_no)}}}}
            }} as relationships,
            'event' as type,
        from delivered
    """


def select_campaigns(first_file: int, last_file: int) -> str:
    """Return the SELECT of campaigns; every fourth one has its message only in `relationships`."""
    return f"""
        select
            file_no,
            {airbyte_columns("campaigns")}
            {{
                archived: kind = 2,
                audiences: {{excluded: [list_id(1)], included: [list_id(0), list_id(2)]}},
                channel: 'email',
                created_at: to_timestamp(created_at),
                message: if(key_no % 4 = 1, null, message_id(key_no)),
                name: getvariable('campaign_names')
                    [1 + key_no % len(getvariable('campaign_names'))]
                    || ' #' || key_no || if(kind = 2, ' (archived)', ''),
                scheduled_at: to_timestamp(sent_at),
                send_options: {{ignore_unsubscribes: false, use_smart_sending: true}},
                send_strategy: {{method: 'immediate'}},
                send_time: to_timestamp(sent_at),
                status: if(sent_at is null, 'Draft', 'Sent'),
                updated_at: to_timestamp(happened_at)
            }} as attributes,
            campaign_id(key_no) as id,
            {{self: klaviyo_url('campaigns', campaign_id(key_no))}} as links,
            {{
                campaign_messages: if(
                    key_no % 4 = 1,
                    {{data: [{{type: 'campaign-message', id: message_id(key_no)}}]}},
                    null
                )
            }} as relationships,
            'campaign' as type,
            to_timestamp(happened_at) as updated_at,
        from delivered_campaigns
        where file_no between {first_file} and {last_file}
        order by file_no, key_no, happened_at, copy
    """


def select_flows(first_file: int, last_file: int) -> str:
    """Return the SELECT of flows; the second one is renamed and goes manual on the second day."""
    return f"""
        select
            file_no,
            {airbyte_columns("flows")}
            {{
                archived: key_no = 5,
                created: to_timestamp(created_at),
                name: getvariable('flow_names')[key_no + 1][1] || if(kind = 1, ' v2', ''),
                status: if(kind = 1, 'manual', getvariable('flow_names')[key_no + 1][3]),
                trigger_type: getvariable('flow_names')[key_no + 1][2],
                updated: to_timestamp(happened_at)
            }} as attributes,
            flow_id(key_no) as id,
            {{self: klaviyo_url('flows', flow_id(key_no))}} as links,
            'flow' as type,
            to_timestamp(happened_at) as updated,
        from delivered_flows
        where file_no between {first_file} and {last_file}
        order by file_no, key_no, happened_at, copy
    """


def select_lists(first_file: int, last_file: int) -> str:
    """Return the SELECT of lists; the third one is renamed on the third day."""
    return f"""
        select
            file_no,
            {airbyte_columns("lists")}
            {{
                created: to_timestamp(created_at),
                name: getvariable('list_names')[key_no + 1][1] || if(kind = 1, ' (new)', ''),
                opt_in_process: getvariable('list_names')[key_no + 1][2],
                updated: to_timestamp(happened_at)
            }} as attributes,
            list_id(key_no) as id,
            {{self: klaviyo_url('lists', list_id(key_no))}} as links,
            'list' as type,
            to_timestamp(happened_at) as updated,
        from delivered_lists
        where file_no between {first_file} and {last_file}
        order by file_no, key_no, happened_at, copy
    """


def select_metrics(first_file: int, last_file: int) -> str:
    """Return the SELECT of metrics; `kind` is the generation, `integration` is JSON text."""
    return f"""
        select
            file_no,
            {airbyte_columns("metrics", generation="kind")}
            {{
                created: to_timestamp(created_at),
                integration: '{{"object":"integration","id":"'
                    || left(md5(getvariable('metric_names')[key_no + 1][2]), 6)
                    || '","name":"' || getvariable('metric_names')[key_no + 1][2]
                    || '","category":"E-mail \\"&\\" more"}}',
                name: getvariable('metric_names')[key_no + 1][1],
                updated: to_timestamp(created_at + if(key_no = 10, kind * 3600, 0))
            }} as attributes,
            metric_id(key_no) as id,
            {{self: klaviyo_url('metrics', metric_id(key_no))}} as links,
            'metric' as type,
            to_timestamp(created_at + if(key_no = 10, kind * 3600, 0)) as updated,
        from delivered_metrics
        where file_no between {first_file} and {last_file}
        order by file_no, key_no
    """
