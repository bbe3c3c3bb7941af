-- What a customer of each cohort has been worth, so far and until 1, 2, 3, 6 and 12 months after
-- the month of the first order, and how many per cent bought in that month, per currency. The
-- newest month has not ended, and says nothing yet.
with

cohorts as (
    select * from {{ ref('fct_customer_cohorts') }}
),

newest as (
    select max(cohort_month + to_months(months_since_first)) as month from cohorts
),

observed as (
    select
        cohorts.*,
        date_diff('month', cohorts.cohort_month, newest.month) as months_until_newest
    from cohorts
    cross join newest
),

final as (
    select
        cohort_month,
        currency,
        any_value(customers) as customers,
        max_by(cumulative_net_sales_per_customer, months_since_first) as value_so_far,
        {%- for month in [1, 2, 3, 6, 12] %}
            max_by(cumulative_net_sales_per_customer, months_since_first) filter (
                months_since_first <= {{ month }} and months_until_newest > {{ month }}
            ) as value_until_month_{{ month }},
            max(if(months_since_first = {{ month }}, round(100 * retention_rate, 1), 0)) filter (
                months_until_newest > {{ month }}
            ) as active_in_month_{{ month }}_percent,
        {%- endfor %}
        sum(orders) as orders,
        sum(net_sales) as net_sales
    from observed
    group by cohort_month, currency
)

select * from final
order by cohort_month desc, customers desc, currency
