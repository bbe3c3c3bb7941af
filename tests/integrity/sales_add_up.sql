-- The identities of sales hold on every row: net sales are gross sales less discounts and returns,
-- total sales are net sales with shipping and taxes.
with

rows_of_facts as (
    select
        'fct_sales, order ' || order_id as place,
        gross_sales,
        discounts,
        returns,
        net_sales,
        shipping,
        taxes,
        total_sales
    from {{ ref('fct_sales') }}
    union all
    select
        'fct_daily_orders, ' || order_day || ' in ' || coalesce(currency, 'no currency'),
        gross_sales,
        discounts,
        returns,
        net_sales,
        shipping,
        taxes,
        total_sales
    from {{ ref('fct_daily_orders') }}
    union all
    select
        'fct_daily_sales, ' || sale_day || ' in ' || coalesce(currency, 'no currency'),
        gross_sales,
        discounts,
        returns,
        net_sales,
        shipping,
        taxes,
        total_sales
    from {{ ref('fct_daily_sales') }}
    union all
    select
        'fct_sales_ledger, movement ' || sale_id,
        gross_sales,
        discounts,
        returns,
        net_sales,
        shipping,
        taxes,
        total_sales
    from {{ ref('fct_sales_ledger') }}
)

select
    *,
    place || ': net_sales is ' || net_sales || ', its parts make '
    || (gross_sales - discounts - returns) || '; total_sales is ' || total_sales
    || ', its parts make ' || (net_sales + shipping + taxes)
    || '. See docs/checks.md, "Sales do not add up"' as message
from rows_of_facts
where
    net_sales is distinct from gross_sales - discounts - returns
    or total_sales is distinct from net_sales + shipping + taxes
