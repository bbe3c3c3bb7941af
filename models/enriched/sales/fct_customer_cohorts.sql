with

-- Orders without a customer or a date belong to no cohort.
sales as (
    select
        customer_id,
        currency,
        order_date,
        order_day,
        gross_sales,
        returns,
        net_sales
    from {{ ref('fct_sales') }}
    where is_counted and customer_id is not null and order_day is not null
),

first_months as (
    select
        customer_id,
        currency,
        cast(date_trunc('month', min_by(order_day, order_date)) as date) as cohort_month
    from sales
    group by customer_id, currency
),

sizes as (
    select
        cohort_month,
        currency,
        count(*) as customers
    from first_months
    group by cohort_month, currency
),

active as (
    select
        first_months.cohort_month,
        first_months.currency,
        datediff('month', first_months.cohort_month, sales.order_day) as months_since_first,
        count(distinct sales.customer_id) as active_customers,
        count(*) as orders,
        sum(sales.gross_sales) as gross_sales,
        sum(sales.returns) as returns,
        sum(sales.net_sales) as net_sales
    from first_months
    inner join sales
        on
            first_months.customer_id = sales.customer_id
            and first_months.currency is not distinct from sales.currency
    group by first_months.cohort_month, first_months.currency, months_since_first
),

cumulated as (
    select
        active.*,
        sizes.customers,
        sum(active.net_sales) over (
            partition by active.cohort_month, active.currency order by active.months_since_first
        ) as cumulative_net_sales
    from active
    inner join sizes
        on
            active.cohort_month = sizes.cohort_month
            and active.currency is not distinct from sizes.currency
),

final as (
    select
        cohort_month,
        months_since_first,
        currency,
        customers,
        active_customers,
        orders,
        {{ money('gross_sales') }} as gross_sales,
        {{ money('returns') }} as returns,
        {{ money('net_sales') }} as net_sales,
        {{ money('cumulative_net_sales') }} as cumulative_net_sales,
        {{ money_average('cumulative_net_sales', 'customers') }}
            as cumulative_net_sales_per_customer,
        active_customers / customers as retention_rate
    from cumulated
)

select * from final
