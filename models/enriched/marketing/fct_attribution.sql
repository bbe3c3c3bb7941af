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

-- What the first touch gets, and each of those between it and the last.
shared as (
    select
        numbered.*,
        models.attribution_model,
        greatest(touches - 2, 1) as between_touches,
        cast(case models.attribution_model
            when 'first' then 1
            when 'last' then 0
            when 'linear' then 1 / touches
            else if(touches = 2, 0.5, 0.4)
        end as decimal(18, 8)) as first_weight,
        cast(case models.attribution_model
            when 'linear' then 1 / touches
            when 'position' then 0.2 / between_touches
            else 0
        end as decimal(18, 8)) as middle_weight,
        if(
            models.attribution_model = 'linear',
            {{ money_average('order_value', 'touches') }},
            cast(round(order_value * first_weight, 2) as decimal(18, 2))
        ) as first_revenue,
        case models.attribution_model
            when 'linear' then first_revenue
            when 'position' then {{ money_average('order_value', '(5 * between_touches)') }}
            else 0
        end as middle_revenue
    from numbered
    cross join models
),

-- The last touch gets what the others leave, of the weight and of the cents, so that both add up.
final as (
    select
        placed_event_id,
        order_id,
        profile_id,
        placed_at,
        currency,
        touch_number,
        touch_event_id,
        touch_at,
        touch_role,
        source_type,
        source_id,
        channel,
        attribution_model,
        cast(case
            when touches = 1 then 1
            when touch_number = touches then 1 - first_weight - (touches - 2) * middle_weight
            when touch_number = 1 then first_weight
            else middle_weight
        end as decimal(18, 8)) as weight,
        cast(case
            when touches = 1 then order_value
            when touch_number = touches
                then order_value - first_revenue - (touches - 2) * middle_revenue
            when touch_number = 1 then first_revenue
            else middle_revenue
        end as decimal(18, 2)) as attributed_revenue
    from shared
)

select * from final
