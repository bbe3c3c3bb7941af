with

customers as (
    select *, {{ comparable_email('email') }} as comparable_email
    from {{ ref('int_shopify__customers') }}
),

sales as (
    select * from {{ ref('fct_sales') }} where is_counted and customer_id is not null
),

lines as (
    select * from {{ ref('int_shopify__order_lines') }} where product_id is not null
),

sales_sums as (
    select
        customer_id,
        currency,
        min(order_date) as first_order_at,
        max(order_date) as last_order_at,
        count(*) as orders,
        sum(gross_sales) as gross_sales,
        sum(discounts) as discounts,
        sum(returns) as returns,
        sum(net_sales) as net_sales,
        min_by(order_id, create_sort_key(order_date, 'asc nulls last', order_id, 'asc nulls last'))
            as first_order_id
    from sales
    group by customer_id, currency
),

first_lines as (
    select
        order_id,
        min_by(product_id, order_line_id) as product_id
    from lines
    where order_id in (select first_order_id from sales_sums)
    group by order_id
),

-- Several profiles can share an e-mail.
profiles as (
    select
        {{ comparable_email('email') }} as comparable_email,
        profile_id as klaviyo_profile_id,
        email_consent,
        last_event_date as last_event_at,
        predicted_clv
    from {{ ref('int_klaviyo__profiles') }}
    where comparable_email in (select customers.comparable_email from customers)
    qualify row_number() over (
        partition by comparable_email order by updated_at desc nulls last, profile_id desc
    ) = 1
),

joined as (
    select
        customers.*,
        sales_sums.* exclude (customer_id),
        first_lines.product_id as first_product_id,
        first_orders.discount_codes[1] as first_discount_code
    from customers
    left join sales_sums on customers.customer_id = sales_sums.customer_id
    left join first_lines on sales_sums.first_order_id = first_lines.order_id
    left join sales as first_orders on sales_sums.first_order_id = first_orders.order_id
),

-- Of equals, the one with the greater id scores higher.
scored as (
    select
        *,
        ntile(5) over (
            partition by currency order by last_order_at asc nulls first, customer_id
        ) as recency_score,
        ntile(5) over (partition by currency order by orders, customer_id) as frequency_score,
        ntile(5) over (partition by currency order by net_sales, customer_id) as monetary_score
    from joined
    where orders > 0
    union all by name
    select * from joined
    where orders is null
),

final as (
    select
        scored.customer_id,
        scored.email,
        scored.first_name,
        scored.last_name,
        scored.currency,
        scored.first_order_at,
        scored.last_order_at,
        coalesce(scored.orders, 0) as orders,
        {{ money('coalesce(scored.gross_sales, 0)') }} as gross_sales,
        {{ money('coalesce(scored.returns, 0)') }} as returns,
        {{ money('coalesce(scored.net_sales, 0)') }} as net_sales,
        {{ money_average('(scored.gross_sales - scored.discounts)', 'scored.orders') }}
            as average_order_value,
        date_diff('second', scored.first_order_at, scored.last_order_at) / 86400
        / nullif(scored.orders - 1, 0) as average_days_between_orders,
        scored.recency_score,
        scored.frequency_score,
        scored.monetary_score,
        -- The first that fits.
        case
            when scored.orders is null then 'no orders'
            when scored.recency_score >= 4 and scored.orders = 1 then 'new'
            when scored.recency_score >= 4 and scored.frequency_score >= 4 then 'champions'
            when scored.recency_score >= 3 and scored.orders > 1 then 'loyal'
            when scored.recency_score >= 3 then 'promising'
            when scored.frequency_score >= 4 or scored.monetary_score >= 4 then 'at risk'
            else 'dormant'
        end as segment,
        scored.first_product_id,
        scored.first_discount_code,
        scored.accepts_email_marketing,
        profiles.* exclude (comparable_email)
    from scored
    left join profiles on scored.comparable_email = profiles.comparable_email
)

select * from final
