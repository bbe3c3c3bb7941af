"""Airbyte's configuration, made of what the dbt sources declare."""
