output "connections" {
  description = "The id of each source's connection, as Airbyte's API and its addresses have it."
  value = {
    shopify = airbyte_connection.shopify.connection_id
    klaviyo = airbyte_connection.klaviyo.connection_id
  }
}

output "streams" {
  description = "What each connection reads."
  value       = { for source, streams in local.streams : source => streams[*].name }
}
