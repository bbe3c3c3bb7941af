-- Which days' sales are different from what they were, and by how much: the present table beside
-- the one before its last change, by DuckLake's time travel. To look further back, name a snapshot
-- (`select * from lakehouse.snapshots()` lists them):
--     dbt show --select what_a_late_delivery_changed --vars '{compare_with_snapshot: 123}'
{% set daily_sales = ref('fct_daily_sales') %}
{% set before = var('compare_with_snapshot', none) %}
{% if execute and before is none and load_relation(daily_sales) %}
    {#- Never before the table was built in its present form: it may have had other columns. -#}
    {% set before = run_query(
        "select greatest(
            (select max(snapshot_id) - 1 from " ~ daily_sales ~ "),
            (
                select min(begin_snapshot)
                from __ducklake_metadata_" ~ daily_sales.database ~ ".ducklake_table
                where table_name = '" ~ daily_sales.identifier ~ "' and end_snapshot is null
            )
        )"
    ).columns[0].values()[0] %}
{% endif %}

with

after_it as (
    select * from {{ daily_sales }}
),

before_it as (
    select * from {{ daily_sales }} at (version => {{ before or 0 }})  -- noqa: PRS
),

final as (
    select
        coalesce(after_it.sale_day, before_it.sale_day) as sale_day,
        coalesce(after_it.currency, before_it.currency) as currency,
        before_it.net_sales as net_sales_before,
        after_it.net_sales as net_sales_after,
        coalesce(after_it.net_sales, 0) - coalesce(before_it.net_sales, 0) as net_sales_change,
        before_it.orders as orders_before,
        after_it.orders as orders_after
    from after_it
    full join before_it on
        after_it.sale_day = before_it.sale_day
        and after_it.currency is not distinct from before_it.currency
    where
        after_it.orders is distinct from before_it.orders
        or after_it.net_sales is distinct from before_it.net_sales
        or after_it.total_sales is distinct from before_it.total_sales
)

select * from final
order by sale_day, currency
