-- Which version of which record lands in which file, and when.
--
-- There is one sync a day, at 02:00 of the following day. Awkward deliveries happen at fixed syncs
-- (counted from 0) and to fixed shares of the records, so that a week has each of them.

create macro is_csv(stream) as split_part(stream, '/', 1) = 'ads';

-- What the sources show of a record after each thing that happens to it.
create table versions as
with order_versions as (
    select order_no as key_no, only_tombstone, unnest([
        {version: 0, happened_at: placed_at},
        {version: 1, happened_at: fulfilled_at},
        {version: 2, happened_at: edited_at},
        {version: 3, happened_at: cancelled_at},
        {version: 4, happened_at: if(len(refund_scopes) > 0, refunded_at + 2, null)},
        {version: 5, happened_at: if(len(refund_scopes) > 1, refunded_at + days(2) + 2, null)},
        {version: 6, happened_at: deleted_at}
    ], recursive := true)
    from orders
    where not never_landed
)

select 'shopify/orders' as stream, key_no, version, happened_at
from order_versions
where version = 6 or not only_tombstone
union all
select 'shopify/customers', key_no, version, happened_at from customer_versions
union all
select 'shopify/order_refunds', key_no, 0, happened_at from refunds
union all
select 'shopify/transactions', key_no, 0, happened_at from transactions
union all
select 'shopify/fulfillments', key_no, unnest([
    {version: 0, happened_at: happened_at},
    {version: 1, happened_at: if(
        order_no % 8 = 0 or cancelled_at is not null,
        greatest(happened_at + days(2), cancelled_at + 60),
        null
    )}
], recursive := true)
from fulfillments
union all
select 'shopify/abandoned_checkouts', key_no, unnest([
    {version: 0, happened_at: created_at + 600},
    {version: 1, happened_at: completed_at}
], recursive := true)
from checkouts
union all
select 'shopify/inventory_levels', key_no, version, happened_at from inventory_levels
union all
select 'shopify/discount_codes', key_no, version, happened_at from code_versions
union all
-- The catalogue is older than the history. Half-way some words, prices and costs change.
select 'shopify/products', product_no, unnest([
    {version: 0, happened_at: getvariable('start') - days(30) + product_no},
    {version: 1, happened_at: if(
        coalesce(new_title, new_vendor) is not null, getvariable('half_way'), null
    )},
    {version: 2, happened_at: if(
        title like 'Trail Mix%', getvariable('sold_out_at') + days(1), null
    )}
], recursive := true)
from products
union all
select 'shopify/product_variants', variant, version,
    if(version = 0, getvariable('start') - days(30), getvariable('half_way')) + variant
from variants
cross join range(2) as versions (version)
where version = 0 or product_no % 3 = 0
union all
select 'shopify/inventory_items', variant, version,
    if(version = 0, getvariable('start') - days(30), getvariable('half_way')) + variant
from variants
cross join range(2) as versions (version)
where version = 0 or variant % 4 = 1
union all
select 'shopify/locations', number, version, getvariable('start') + version * 50 * 3600
from range(1, 4) as locations (number)
cross join range(2) as versions (version)
where version = 0 or number = 3
union all
select 'ads/spend', key_no, unnest([
    {version: 0, happened_at: getvariable('start') + days(day_no) + 80000},
    {version: 1, happened_at: if(
        key_no % 5 = 0, getvariable('start') + days(day_no + 2) + 80000, null
    )}
], recursive := true)
from spend
union all
select 'klaviyo/profiles', key_no, version, happened_at from profile_versions
union all
select 'klaviyo/events', key_no, 0, happened_at from events
union all
-- Drafted, sent, and some tidied away later.
select 'klaviyo/campaigns', campaign_no, unnest([
    {version: 0, happened_at: send_at - days(2)},
    {version: 1, happened_at: if(not is_draft, send_at + 600, null)},
    {version: 2, happened_at: if(not is_draft and campaign_no % 5 = 1, send_at + days(2), null)}
], recursive := true)
from campaigns
union all
-- The second flow and the third list change once.
select 'klaviyo/flows', number, version, getvariable('start') + version * 40 * 3600
from range(1, 4) as flows (number), range(2) as versions (version)
where version = 0 or number = 2
union all
select 'klaviyo/lists', number, version, getvariable('start') + version * 60 * 3600
from range(1, 4) as lists (number), range(2) as versions (version)
where version = 0 or number = 3
union all
-- Every metric in every generation: one is new in generation 1, one is gone from generation 3.
select 'klaviyo/metrics', number, generation,
    getvariable('start') + days(generation * greatest(1, getvariable('days') // 6))
from range(1, 14) as metrics (number), range(7) as generations (generation)
where (number, generation) <> (8, 0) and not (number = 9 and generation > 2);

-- The rows of a file follow each other, so that it is a range of row numbers.
create table deliveries as
with streams (stream, least_parts, repeats) as (values
    ('shopify/orders', 2, true),
    ('shopify/customers', 1, true),
    ('shopify/order_refunds', 1, true),
    ('shopify/transactions', 1, true),
    ('shopify/fulfillments', 1, true),
    ('shopify/abandoned_checkouts', 1, true),
    ('shopify/inventory_levels', 1, true),
    ('shopify/discount_codes', 1, true),
    ('shopify/products', 1, true),
    ('shopify/product_variants', 1, true),
    ('shopify/inventory_items', 1, true),
    ('shopify/locations', 1, false),
    ('klaviyo/profiles', 1, true),
    ('klaviyo/events', 2, true),
    ('klaviyo/campaigns', 1, true),
    ('klaviyo/flows', 1, false),
    ('klaviyo/lists', 1, false),
    ('klaviyo/metrics', 2, false),
    ('ads/spend', 1, false)
),

-- Airbyte starts a new file at about 200 MB; smaller ones make livelier histories.
sized as (
    select
        stream,
        repeats,
        greatest(least_parts, count(*) // getvariable('days') // 30000 + 1) as parts
    from streams
    inner join versions using (stream)
    group by stream, repeats, least_parts
),

originals as (
    select
        versions.*,
        repeats,
        greatest(0, happened_at - getvariable('start')) // days(1)
            as extract_sync,
        extract_sync as file_sync,
        0 as copy,
        -- Versions of one key go to different parts; one sync of orders has twelve of them.
        (key_no + 5 * version)
            % if(extract_sync = 3 and stream = 'shopify/orders', greatest(parts, 12), parts) as part
    from versions
    inner join sized using (stream)
    where happened_at < getvariable('until')
),

copies as (
    from originals
    union all
    -- A sync that fails at the end delivers a part a second time, record by record.
    select * replace (1 as copy, 100 as part) from originals
    where repeats and file_sync % 20 = 4 and part = 0
    union all
    -- The next sync delivers some again, with the same time of extraction.
    select * replace (2 as copy, file_sync + 1 as file_sync) from originals
    where repeats and roll('twice', key_no, 100) = 0 or is_csv(stream) and key_no % 7 = 0
    union all
    -- Old versions arrive days later, after newer ones, extracted again or not.
    select * replace (
        3 as copy,
        file_sync + 4 + roll('late', key_no, 8) as file_sync,
        extract_sync + if(key_no % 4 < 2, 4 + roll('late', key_no, 8), 0) as extract_sync
    )
    from originals
    where
        repeats
        and version = 0
        -- Some by chance, and every other edited order.
        and (roll('delivered late', key_no, 80) = 0 or stream like '%orders' and key_no % 134 = 31)
)

select
    stream,
    file_sync as sync,
    part,
    key_no,
    version,
    happened_at,
    copy,
    (getvariable('start') + days(extract_sync + 1) + 7200) * 1000 + roll('extracted', key_no, 90000)
        as extracted_ms
from copies
where file_sync < getvariable('days')
order by stream, sync, part, happened_at, key_no, version, copy;

create table files as
with counted as (
    select
        stream,
        sync,
        part,
        count(*) as row_count,
        min(rowid) as first_row,
        getvariable('start') + days(sync + 1) + 7200 as started_at,
        is_csv(stream) as is_csv
    from deliveries
    group by all
),

described as (
    select
        *,
        max(part) filter (where part < 100) over (partition by stream, sync) as last_part,
        part = 100 as is_retry,
        -- Some syncs run for two days: their last part lands late, in the folder of the first day.
        sync % 10 = 2 and part = last_part and not is_csv as is_late,
        (sync % 7 = 6 or sync in (3, 5)) and not (is_retry or is_csv) as has_part_name,
        make_timestamp(started_at * 1000000) as started_time
    from counted
)

select
    stream,
    first_row,
    row_count,
    to_timestamp(started_at + case
        when is_retry then 2520
        when is_late then 50 * 3600
        -- Parts finish in another order than they are numbered.
        else 120 + 20 * ((part * 7 + last_part + 2) % (last_part + 1))
    end) as arrived_at,
    stream || strftime(started_time, '/year=%Y/month=%m/day=%d/') || case
        when is_csv then split_part(stream, '/', 2) || '_'
            || if(stream like 'ads%', sync, sync // 2) || if(sync = 5, '.csv.gz', '.csv')
        when has_part_name and (sync, part) = (5, 1) then 'part_0.parquet-1'
        when has_part_name then 'part_' || part || '.parquet'
        else strftime(started_time, '%Y_%m_%d_') || started_at * 1000 + if(is_retry, 2400000, 0)
            || '_' || part % 100 || '.parquet'
    end as path,
    -- What the file has besides its view's columns: the schema grows during the history.
    case when sync >= greatest(3, getvariable('days') * 3 // 5) then case stream
        when 'shopify/orders' then $$'PO-' || order_number as po_number$$
        when 'klaviyo/profiles' then $$'["Engaged"]' as segments$$
        when 'shopify/transactions'
            then $${credit_card_company: 'Visa', avs_result_code: 'Y'} as payment_details$$
    end end as added,
    -- What it has instead of them: new fields inside of columns, and odd types in single files.
    concat_ws(', ',
        case when sync >= greatest(2, getvariable('days') * 2 // 5) then case stream
            when 'shopify/orders' then 'list_transform(line_items, lambda line: struct_insert(line,'
                || ' pre_tax_price := line.price * line.quantity)) as line_items'
            when 'klaviyo/profiles' then $$struct_insert(attributes, locale := 'en-US') as attributes$$
            when 'shopify/fulfillments' then 'list_transform(line_items, lambda line:'
                ' struct_insert(line, requires_shipping := true)) as line_items'
        end end,
        case
            when stream = 'shopify/inventory_levels' and sync = 4
                then 'available::double as available'
            when stream = 'shopify/transactions' and sync = 2 then 'amount::varchar as amount'
        end,
        case when stream = 'shopify/orders' and not is_retry then case
            when (sync, part) = (1, 0) then 'order_number::varchar as order_number'
            when (sync, part) = (1, 1) then 'total_weight::double as total_weight'
            when (sync, part) = (5, 1) then 'to_json(client_details)::varchar as client_details'
            when (sync, part) = (2, last_part)
                then 'to_json(total_shipping_price_set)::varchar as total_shipping_price_set'
        end end
    ) as replaced
from described
order by first_row;
