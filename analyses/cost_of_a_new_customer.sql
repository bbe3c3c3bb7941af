-- What ads cost for each new customer of a month, beside what a customer of that month has bought
-- so far, per currency. Every new customer counts, whether an ad brought them or not.
with

daily_profit as (
    select * from {{ ref('fct_daily_profit') }}
),

cohorts as (
    select * from {{ ref('fct_customer_cohorts') }}
),

monthly as (
    select
        cast(date_trunc('month', day) as date) as month,
        currency,
        sum(ad_spend) as ad_spend,
        sum(new_customers) as new_customers,
        sum(net_sales) as net_sales
    from daily_profit
    group by all
),

customer_values as (
    select
        cohort_month,
        currency,
        max_by(cumulative_net_sales_per_customer, months_since_first) as value_so_far
    from cohorts
    group by cohort_month, currency
),

final as (
    select
        monthly.month,
        monthly.currency,
        monthly.ad_spend,
        monthly.new_customers,
        round(monthly.ad_spend / nullif(monthly.new_customers, 0), 2) as cost_of_a_new_customer,
        customer_values.value_so_far,
        round(100 * monthly.ad_spend / nullif(monthly.net_sales, 0), 1)
            as ad_spend_percent_of_net_sales
    from monthly
    left join customer_values
        on
            monthly.month = customer_values.cohort_month
            and monthly.currency is not distinct from customer_values.currency
)

select * from final
order by month desc, new_customers desc, currency
