def model(dbt, session):
    dbt.config(materialized="feed")
    return dbt.source("shopify", "inventory_levels")
