{# The staging models, for lotus_lake.after_feeding(). A new stream is added here too; a test says so. #}
{% macro duckdb__after_feeding() %}
    {% set models = [
        ref("stg_ads__spend"),
        ref("stg_klaviyo__campaigns"),
        ref("stg_klaviyo__events"),
        ref("stg_klaviyo__flows"),
        ref("stg_klaviyo__lists"),
        ref("stg_klaviyo__metrics"),
        ref("stg_klaviyo__profiles"),
        ref("stg_shopify__abandoned_checkouts"),
        ref("stg_shopify__customers"),
        ref("stg_shopify__discount_codes"),
        ref("stg_shopify__fulfillments"),
        ref("stg_shopify__inventory_items"),
        ref("stg_shopify__inventory_levels"),
        ref("stg_shopify__locations"),
        ref("stg_shopify__order_refunds"),
        ref("stg_shopify__orders"),
        ref("stg_shopify__product_variants"),
        ref("stg_shopify__products"),
        ref("stg_shopify__transactions"),
    ] %}
{% endmacro %}
