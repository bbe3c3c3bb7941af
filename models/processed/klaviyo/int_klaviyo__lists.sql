{% call(changed) recompute('list_id', [ref('stg_klaviyo__lists')]) %}
    select id as list_id from {{ changed.stg_klaviyo__lists }}
{% endcall %}

with

landed as not materialized (
    select *, rowid as version_id from {{ ref('stg_klaviyo__lists') }}
    where id is not null and {{ to_recompute('id') }}
),

newest as (
    {{ newest_of('landed', 'klaviyo', 'lists') }}
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
