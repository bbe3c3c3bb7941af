-- Per currency, the codes have each order that counts, and each abandoned checkout, once for each
-- of its codes, and each order with all its sales.
with

sales as (
    select
        *,
        len(list_distinct(discount_codes)) as codes
    from {{ ref('fct_sales') }}
    where is_counted and len(list_distinct(discount_codes)) > 0
),

checkouts as (
    select
        *,
        len(list_distinct(discount_codes)) as codes
    from {{ ref('fct_abandoned_checkouts') }}
    where len(list_distinct(discount_codes)) > 0
),

uses as (
    select
        currency,
        codes as orders,
        codes * gross_sales as gross_sales,
        codes * discounts as discounts,
        codes * net_sales as net_sales,
        0 as abandoned_checkouts
    from sales
    union all
    select currency, 0, 0, 0, 0, codes from checkouts
),

expected as (
    select
        currency,
        sum(orders) as orders,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(net_sales) as net_sales,
        sum(abandoned_checkouts) as abandoned_checkouts
    from uses
    group by currency
),

actual as (
    select
        currency,
        sum(orders) as orders,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(net_sales) as net_sales,
        sum(abandoned_checkouts) as abandoned_checkouts
    from {{ ref('fct_discount_codes') }}
    group by currency
)

(select 'expected' as side, * from expected except select 'expected', * from actual)
union all
(select 'actual' as side, * from actual except select 'actual', * from expected)
