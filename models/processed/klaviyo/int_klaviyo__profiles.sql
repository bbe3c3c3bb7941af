{{ config(unique_key='profile_id') }}

with

newest as (
    {{ newest_of('klaviyo', 'profiles') }}
),

final as (
    select
        id as profile_id,
        attributes.email,
        attributes.phone_number,
        attributes.first_name,
        attributes.last_name,
        attributes.location.city,
        attributes.location.region,
        attributes.location.country,
        attributes.location.zip as postal_code,
        attributes.created as created_at,
        coalesce(attributes.updated, updated) as updated_at,
        attributes.last_event_date,
        {{ money(exact('attributes.predictive_analytics.historic_clv')) }} as historic_clv,
        {{ money(exact('attributes.predictive_analytics.predicted_clv')) }}
            as predicted_clv,
        {{ money(exact('attributes.predictive_analytics.total_clv')) }} as total_clv,
        attributes.predictive_analytics.churn_probability,
        {{ money(exact('attributes.predictive_analytics.average_order_value')) }}
            as average_order_value,
        attributes.predictive_analytics.historic_number_of_orders as historic_orders,
        attributes.subscriptions.email.marketing.consent as email_consent
    from newest
)

select * from final
