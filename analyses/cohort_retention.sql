-- Of the customers who first bought in a month, how many per cent bought again 1, 2, 3, 6 and 12
-- months later, and what a customer of the cohort has been worth so far.
with

cohorts as (
    select * from {{ ref('fct_customer_cohorts') }}
),

final as (
    select
        cohort_month,
        max(customers) as customers,
        {%- for month in [1, 2, 3, 6, 12] %}
            round(
                100
                * max(active_customers / customers) filter (where months_since_first = {{ month }}),
                1
            ) as month_{{ month }}_percent,
        {%- endfor %}
        round(sum(net_sales) / max(customers), 2) as net_sales_per_customer
    from cohorts
    group by cohort_month
)

select * from final
order by cohort_month desc
