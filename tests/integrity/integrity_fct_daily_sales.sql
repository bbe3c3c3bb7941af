-- Per currency, the days add up to the ledger, gift cards to a column of their own; every order
-- that is no test is on one day, and every customer is new only once.
with

movements as (
    select * from {{ ref('fct_sales_ledger') }} where sale_day is not null
),

orders as (
    select * from {{ ref('fct_sales') }} where not is_test_order and order_day is not null
),

first_days as (
    select
        customer_id,
        min(order_day) as first_day
    from orders
    where customer_id is not null
    group by customer_id
),

expected as (
    select
        currency,
        sum(gross_sales) filter (line_type != 'gift_card') as gross_sales,
        sum(discounts) filter (line_type != 'gift_card') as discounts,
        sum(returns) filter (line_type != 'gift_card') as returns,
        sum(shipping) as shipping,
        sum(taxes) filter (line_type != 'gift_card') as taxes,
        sum(tips) as tips,
        sum(total_sales) filter (line_type != 'gift_card') as total_sales,
        sum(net_sales) filter (line_type = 'gift_card') as gift_card_sales,
        sum(quantity) filter (line_type != 'gift_card') as units_kept
    from movements
    group by currency
),

expected_counts as (
    select
        orders.currency,
        count(*) as orders,
        count(distinct orders.customer_id) filter (orders.order_day = first_days.first_day)
            as new_customers
    from orders
    left join first_days on orders.customer_id = first_days.customer_id
    group by orders.currency
),

actual as (
    select
        currency,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(returns) as returns,
        sum(shipping) as shipping,
        sum(taxes) as taxes,
        sum(tips) as tips,
        sum(total_sales) as total_sales,
        sum(gift_card_sales) as gift_card_sales,
        sum(units - returned_units) as units_kept,
        sum(orders) as orders,
        sum(new_customers) as new_customers
    from {{ ref('fct_daily_sales') }}
    group by currency
),

compared as (
    select
        actual.currency,
        actual.gross_sales - coalesce(expected.gross_sales, 0) as gross_sales,
        actual.discounts - coalesce(expected.discounts, 0) as discounts,
        actual.returns - coalesce(expected.returns, 0) as returns,
        actual.shipping - coalesce(expected.shipping, 0) as shipping,
        actual.taxes - coalesce(expected.taxes, 0) as taxes,
        actual.tips - coalesce(expected.tips, 0) as tips,
        actual.total_sales - coalesce(expected.total_sales, 0) as total_sales,
        actual.gift_card_sales - coalesce(expected.gift_card_sales, 0) as gift_card_sales,
        actual.units_kept - coalesce(expected.units_kept, 0) as units_kept,
        actual.orders - coalesce(expected_counts.orders, 0) as orders,
        actual.new_customers - coalesce(expected_counts.new_customers, 0) as new_customers
    from actual
    full join expected on actual.currency is not distinct from expected.currency
    full join expected_counts
        on
            coalesce(actual.currency, expected.currency)
            is not distinct from expected_counts.currency
)

-- A currency that one side does not know compares as null.
select * from compared
where
    (gross_sales, discounts, returns, shipping, taxes, tips, total_sales, gift_card_sales)
    is distinct from (0, 0, 0, 0, 0, 0, 0, 0)
    or (units_kept, orders, new_customers) is distinct from (0, 0, 0)
