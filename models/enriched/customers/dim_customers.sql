with

customers as (
    select *, {{ comparable_email('email') }} as comparable_email
    from {{ ref('int_shopify__customers') }}
),

sales as (
    select * from {{ ref('fct_sales') }} where is_counted
),

profiles as (
    select *, {{ comparable_email('email') }} as comparable_email
    from {{ ref('int_klaviyo__profiles') }}
),

sales_sums as (
    select
        customer_id,
        min(order_date) as first_order_at,
        max(order_date) as last_order_at,
        count(*) as orders,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(returns) as returns,
        sum(net_sales) as net_sales
    from sales
    where customer_id is not null
    group by customer_id
),

-- Several profiles can share an e-mail.
latest_profiles as (
    select *
    from profiles
    where comparable_email in (select comparable_email from customers)
    qualify row_number() over (
        partition by comparable_email order by updated_at desc nulls last, profile_id desc
    ) = 1
),

final as (
    select
        customers.customer_id,
        customers.email,
        customers.first_name,
        customers.last_name,
        sales_sums.first_order_at,
        sales_sums.last_order_at,
        coalesce(sales_sums.orders, 0) as orders,
        {{ money('coalesce(sales_sums.gross_sales, 0)') }} as gross_sales,
        {{ money('coalesce(sales_sums.returns, 0)') }} as returns,
        {{ money('coalesce(sales_sums.net_sales, 0)') }} as net_sales,
        {{ money_average('(sales_sums.gross_sales - sales_sums.discounts)', 'sales_sums.orders') }}
            as average_order_value,
        latest_profiles.profile_id as klaviyo_profile_id,
        latest_profiles.email_consent,
        latest_profiles.last_event_date as last_event_at,
        latest_profiles.predicted_clv
    from customers
    left join sales_sums on customers.customer_id = sales_sums.customer_id
    left join latest_profiles on customers.comparable_email = latest_profiles.comparable_email
)

select * from final
