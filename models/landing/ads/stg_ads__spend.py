from lotus_lake.feeder import feed


def model(dbt, session):
    dbt.config(materialized="feed")
    return feed(session, dbt.source("ads", "spend"))
