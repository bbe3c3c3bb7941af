terraform {
  # Everything here works with OpenTofu from 1.6 and with Terraform from 1.5.
  required_version = ">= 1.5"

  required_providers {
    airbyte = {
      source = "airbytehq/airbyte"
      # Exactly this one: its resources are generated from Airbyte's API and change with it.
      version = "1.3.0"
    }
  }
}

provider "airbyte" {
  server_url    = "${var.airbyte_url}/api/public/v1"
  token_url     = "${var.airbyte_url}/api/public/v1/applications/token"
  client_id     = var.airbyte_client_id
  client_secret = var.airbyte_client_secret
}
