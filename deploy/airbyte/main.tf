# Airbyte as code: two sources, the landing zone as their destination, and a connection for each source.
#
# What is read of a source is not said here. catalogs/*.json has it, written by `lake catalog`
# from the streams that the dbt sources declare (models/landing/*/_*__sources.yml). To add a stream or a
# column, declare it there. docs/airbyte.md says how all of this is applied, and how to clear or refresh
# a stream.

locals {
  catalogs = {
    for source in ["klaviyo", "shopify"] :
    source => jsondecode(file("${path.module}/catalogs/${source}.json"))
  }

  streams = {
    for source, catalog in local.catalogs : source => [
      for configured in catalog.streams : {
        name = configured.stream.name
        # Such as incremental_append.
        sync_mode = "${configured.sync_mode}_${configured.destination_sync_mode}"
        # Connectors have cursors of their own; Airbyte refuses one that differs.
        cursor_field = length(configured.cursor_field) > 0 ? configured.cursor_field : null
        # Airbyte selects whole columns only; an object comes with all that is in it.
        selected_fields = [
          for name in keys(configured.stream.json_schema.properties) : { field_path = [name] }
        ]
      }
    ]
  }
}

# -- sources ----------------------------------------------------------------------------------------
# The provider's resources for single connectors, such as airbyte_source_shopify, are deprecated. These
# take a connector's own settings, and a plan checks them against what the connector says it takes.

data "airbyte_connector_configuration" "shopify" {
  connector_name = "source-shopify"

  configuration = {
    shop        = var.shopify_shop
    start_date  = var.start_date
    credentials = { auth_method = "api_password" }
  }

  configuration_secrets = {
    credentials = { api_password = var.shopify_access_token }
  }
}

resource "airbyte_source" "shopify" {
  name          = "Shopify"
  workspace_id  = var.workspace_id
  definition_id = data.airbyte_connector_configuration.shopify.definition_id
  configuration = data.airbyte_connector_configuration.shopify.configuration_json

  lifecycle {
    prevent_destroy = true
  }
}

data "airbyte_connector_configuration" "klaviyo" {
  connector_name = "source-klaviyo"

  configuration = {
    start_date = "${var.start_date}T00:00:00Z"
    # int_klaviyo__profiles reads what Klaviyo predicts.
    disable_fetching_predictive_analytics = false
  }

  configuration_secrets = {
    api_key = var.klaviyo_api_key
  }
}

resource "airbyte_source" "klaviyo" {
  name          = "Klaviyo"
  workspace_id  = var.workspace_id
  definition_id = data.airbyte_connector_configuration.klaviyo.definition_id
  configuration = data.airbyte_connector_configuration.klaviyo.configuration_json

  lifecycle {
    prevent_destroy = true
  }
}

# -- destination ------------------------------------------------------------------------------------

data "airbyte_connector_configuration" "landing" {
  connector_name = "destination-s3"

  configuration = {
    s3_bucket_name   = "landing"
    s3_bucket_path   = "raw"
    s3_bucket_region = var.s3_region
    s3_endpoint      = var.s3_endpoint
    # Landing zone: raw/<source>/<stream>/year=2025/month=01/day=15/part_0.parquet
    s3_path_format    = "$${NAMESPACE}/$${STREAM_NAME}/year=$${YEAR}/month=$${MONTH}/day=$${DAY}/"
    file_name_pattern = "part_{part_number}{format_extension}"
    format = {
      format_type       = "Parquet"
      compression_codec = "ZSTD"
    }
  }

  configuration_secrets = {
    access_key_id     = var.s3_access_key_id
    secret_access_key = var.s3_secret_access_key
  }
}

resource "airbyte_destination" "landing" {
  name          = "Landing zone"
  workspace_id  = var.workspace_id
  definition_id = data.airbyte_connector_configuration.landing.definition_id
  configuration = data.airbyte_connector_configuration.landing.configuration_json

  lifecycle {
    prevent_destroy = true
  }
}

# -- connections ------------------------------------------------------------------------------------
# A connection that is made anew reads everything once more, so none is destroyed by a plan.

resource "airbyte_connection" "shopify" {
  name           = "Shopify to the landing zone"
  source_id      = airbyte_source.shopify.source_id
  destination_id = airbyte_destination.landing.destination_id
  status         = "active"

  # The namespace is the source's folder.
  namespace_definition = "custom_format"
  namespace_format     = "shopify"
  # What is selected is said in Git.
  non_breaking_schema_updates_behavior = "ignore"

  configurations = {
    streams = local.streams["shopify"]
  }

  schedule = {
    schedule_type   = "cron"
    cron_expression = var.schedules["shopify"]
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "airbyte_connection" "klaviyo" {
  name           = "Klaviyo to the landing zone"
  source_id      = airbyte_source.klaviyo.source_id
  destination_id = airbyte_destination.landing.destination_id
  status         = "active"

  namespace_definition                 = "custom_format"
  namespace_format                     = "klaviyo"
  non_breaking_schema_updates_behavior = "ignore"

  configurations = {
    streams = local.streams["klaviyo"]
  }

  schedule = {
    schedule_type   = "cron"
    cron_expression = var.schedules["klaviyo"]
  }

  lifecycle {
    prevent_destroy = true
  }
}
