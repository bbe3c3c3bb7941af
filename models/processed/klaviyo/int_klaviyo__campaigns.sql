with

newest as (
    {{ newest_of('klaviyo', 'campaigns') }}
),

final as (
    select
        id as campaign_id,
        coalesce(
            nullif(attributes.message, ''),
            relationships.campaign_messages.data[1].id
        ) as message_id,
        list_sort(list_distinct(list_filter(
            list_concat(
                [id, attributes.message],
                list_transform(
                    relationships.campaign_messages.data, lambda related: related.id
                )
            ),
            lambda message: message <> ''
        ))) as message_ids,
        attributes.name,
        attributes.status,
        attributes.channel,
        attributes.archived as is_archived,
        attributes.created_at,
        coalesce(attributes.updated_at, updated_at) as updated_at,
        attributes.send_time as sent_at
    from newest
)

select * from final
