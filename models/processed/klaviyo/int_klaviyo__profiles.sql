{% call(changed) recompute('profile_id', [ref('stg_klaviyo__profiles')]) %}
    select id as profile_id from {{ changed.stg_klaviyo__profiles }}
{% endcall %}

with

versions as (
    select
        id,
        attributes,
        updated,
        {{ newest_version_order('klaviyo', 'profiles') }} as version
    from {{ ref('stg_klaviyo__profiles') }}
    where id is not null and {{ to_recompute('id') }}
),

newest as (
    select
        id,
        max_by(struct_pack(attributes := attributes, updated := updated), version) as profile
    from versions
    group by id
),

final as (
    select
        id as profile_id,
        profile.attributes.email,
        profile.attributes.phone_number,
        profile.attributes.first_name,
        profile.attributes.last_name,
        profile.attributes.location.city,
        profile.attributes.location.region,
        profile.attributes.location.country,
        profile.attributes.location.zip as postal_code,
        profile.attributes.created as created_at,
        coalesce(profile.attributes.updated, profile.updated) as updated_at,
        profile.attributes.last_event_date,
        {{ money(exact('profile.attributes.predictive_analytics.historic_clv')) }} as historic_clv,
        {{ money(exact('profile.attributes.predictive_analytics.predicted_clv')) }}
            as predicted_clv,
        {{ money(exact('profile.attributes.predictive_analytics.total_clv')) }} as total_clv,
        profile.attributes.predictive_analytics.churn_probability,
        {{ money(exact('profile.attributes.predictive_analytics.average_order_value')) }}
            as average_order_value,
        profile.attributes.predictive_analytics.historic_number_of_orders as historic_orders,
        profile.attributes.subscriptions.email.marketing.consent as email_consent
    from newest
)

select * from final
