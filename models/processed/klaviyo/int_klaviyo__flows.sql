{% call(changed) recompute('flow_id', [ref('stg_klaviyo__flows')]) %}
    select id as flow_id from {{ changed.stg_klaviyo__flows }}
{% endcall %}

with

flows as (
    select * from {{ ref('stg_klaviyo__flows') }}
    where id is not null and {{ to_recompute('id') }}
),

newest as (
    select * from flows
    qualify row_number() over (
        partition by id order by {{ newest_version_order('klaviyo', 'flows') }} desc
    ) = 1
),

final as (
    select
        id as flow_id,
        attributes.name,
        attributes.status,
        attributes.trigger_type,
        attributes.archived as is_archived,
        attributes.created as created_at,
        coalesce(attributes.updated, updated) as updated_at
    from newest
)

select * from final
