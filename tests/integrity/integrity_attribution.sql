-- Ties fct_attribution to the placed orders: each model has every order, weights add up to 1 and
-- amounts to the order's value, exactly. The touches of an order are the same in all models.
with

orders as (
    select
        events.event_id as placed_event_id,
        coalesce(events.event_value, 0) as order_value
    from {{ ref('int_klaviyo__events') }} as events
    inner join {{ ref('int_klaviyo__metrics') }} as metrics on events.metric_id = metrics.metric_id
    inner join {{ ref('klaviyo_metric_roles') }} as roles on metrics.name = roles.metric_name
    where roles.role = 'placed_order'
),

models as (
    select unnest(['first', 'last', 'linear', 'position']) as attribution_model
),

expected as (
    select
        orders.placed_event_id,
        models.attribution_model,
        orders.order_value,
        1 as weight
    from orders
    cross join models
),

actual as (
    select
        placed_event_id,
        attribution_model,
        sum(attributed_revenue) as order_value,
        sum(weight) as weight
    from {{ ref('fct_attribution') }}
    group by placed_event_id, attribution_model
),

touches as (
    select
        placed_event_id,
        touch_event_id,
        count(*) as models
    from {{ ref('fct_attribution') }}
    group by placed_event_id, touch_event_id
)

select
    coalesce(expected.placed_event_id, actual.placed_event_id) as placed_event_id,
    coalesce(expected.attribution_model, actual.attribution_model) as attribution_model,
    'expected ' || concat_ws(' and ', expected.order_value, expected.weight)
    || ', found ' || concat_ws(' and ', actual.order_value, actual.weight) as difference
from expected
full join actual
    on
        expected.placed_event_id = actual.placed_event_id
        and expected.attribution_model = actual.attribution_model
where
    expected.order_value is distinct from actual.order_value
    or expected.weight is distinct from actual.weight
union all
select
    placed_event_id,
    null,
    'touch ' || touch_event_id || ' is in ' || models || ' models'
from touches
where models <> 4
