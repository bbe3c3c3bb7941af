{% call(changed) recompute('list_id', [ref('stg_klaviyo__lists')]) %}
    select id as list_id from {{ changed.stg_klaviyo__lists }}
{% endcall %}

with

lists as (
    select * from {{ ref('stg_klaviyo__lists') }}
    where id is not null and {{ to_recompute('id') }}
),

newest as (
    select * from lists
    qualify row_number() over (
        partition by id order by {{ newest_version_order('klaviyo', 'lists') }} desc
    ) = 1
),

final as (
    select
        id as list_id,
        attributes.name,
        attributes.opt_in_process,
        attributes.created as created_at,
        coalesce(attributes.updated, updated) as updated_at
    from newest
)

select * from final
