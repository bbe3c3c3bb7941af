def model(dbt, session):
    dbt.config(materialized="feed")
    return dbt.source("klaviyo", "profiles")
