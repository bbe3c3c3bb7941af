{% call(changed) recompute('flow_id', [ref('stg_klaviyo__flows')]) %}
    select id as flow_id from {{ changed.stg_klaviyo__flows }}
{% endcall %}

with

landed as not materialized (
    select *, rowid as version_id from {{ ref('stg_klaviyo__flows') }}
    where id is not null and {{ to_recompute('id') }}
),

newest as (
    {{ newest_of('landed', 'klaviyo', 'flows') }}
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
