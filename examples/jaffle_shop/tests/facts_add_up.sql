-- Ties the jaffle shop's tables together: every order and customer is there once, and what was paid
-- for known orders, by known customers, arrives in both facts to the cent.
with

orders as (
    select * from {{ ref('int_jaffle_shop__orders') }}
),

payments as (
    select * from {{ ref('int_jaffle_shop__payments') }}
),

customers as (
    select * from {{ ref('int_jaffle_shop__customers') }}
),

order_facts as (
    select * from {{ ref('fct_jaffle_shop__orders') }}
),

customer_facts as (
    select * from {{ ref('dim_jaffle_shop__customers') }}
),

totals as (
    select
        'orders' as total,
        (select count(*) from orders) as expected,
        (select count(*) from order_facts) as actual
    union all
    select
        'amount paid for orders',
        (select coalesce(sum(amount), 0) from payments semi join orders using (order_id)),
        (select coalesce(sum(amount), 0) from order_facts)
    union all
    select
        'customers',
        (select count(*) from customers),
        (select count(*) from customer_facts)
    union all
    select
        'orders of customers',
        (select count(*) from order_facts semi join customers using (customer_id)),
        (select coalesce(sum(number_of_orders), 0) from customer_facts)
    union all
    select
        'amount paid by customers',
        (select coalesce(sum(amount), 0) from order_facts semi join customers using (customer_id)),
        (select coalesce(sum(customer_lifetime_value), 0) from customer_facts)
)

select *
from totals
where expected <> actual
