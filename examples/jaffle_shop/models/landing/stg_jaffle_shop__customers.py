def model(dbt, session):
    dbt.config(materialized="feed")
    return dbt.source("jaffle_shop", "customers")
