{{ config(unique_key='placed_event_id') }}

with

order_touches as (
    select * from {{ follow(ref('int_klaviyo__order_touches'), 'placed_event_id') }}
),

-- A direct order has one row without a touch, which counts like a single touch.
numbered as (
    select
        *,
        coalesce({{ money('exact_event_value') }}, 0) as order_value,
        row_number() over (
            partition by placed_event_id order by touch_at, touch_event_id
        ) as touch_number,
        count(*) over (partition by placed_event_id) as touches
    from order_touches
),

models as (
    select unnest(['first', 'last', 'linear', 'position']) as attribution_model
),

-- The last touch gets what the others leave, of the weight and of the cents, so that both add up.
weighted as (
    select
        numbered.*,
        models.attribution_model,
        cast(
            case
                when numbered.touch_number = numbered.touches then 0
                when models.attribution_model = 'first' then if(numbered.touch_number = 1, 1, 0)
                when models.attribution_model = 'last' then 0
                when models.attribution_model = 'linear' then 1 / numbered.touches
                when numbered.touches = 2 then 0.5
                when numbered.touch_number = 1 then 0.4
                else 0.2 / (numbered.touches - 2)
            end as decimal(18, 8)
        ) as given_weight
    from numbered
    cross join models
),

valued as (
    select
        *,
        case
            when touch_number = touches then 0
            when attribution_model = 'linear' then {{ money_average('order_value', 'touches') }}
            when attribution_model = 'position' and touch_number > 1
                then {{ money_average('order_value', '(5 * (touches - 2))') }}
            else cast(round(order_value * given_weight, 2) as decimal(18, 2))
        end as given_revenue
    from weighted
),

final as (
    select
        md5(concat_ws('|', placed_event_id, coalesce(touch_event_id, ''), attribution_model))
            as attribution_id,
        placed_event_id,
        order_id,
        profile_id,
        placed_at,
        currency,
        touch_event_id,
        touch_at,
        touch_role,
        source_type,
        source_id,
        channel,
        attribution_model,
        cast(
            if(touch_number = touches, 1 - sum(given_weight) over order_model, given_weight)
            as decimal(18, 8)
        ) as weight,
        cast(
            if(
                touch_number = touches,
                order_value - sum(given_revenue) over order_model,
                given_revenue
            ) as decimal(18, 2)
        ) as attributed_revenue
    from valued
    window order_model as (partition by placed_event_id, attribution_model)
)

select * from final
