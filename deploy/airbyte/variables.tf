# Secrets come from a Secret (flux/secrets.example.yaml), everything else from flux/terraform.yaml. By
# hand, set TF_VAR_<name>. A secret has no default, and is marked so that no plan or log shows it.

variable "airbyte_client_id" {
  description = "Application of Airbyte that may change the workspace: its id."
  type        = string
  sensitive   = true
}

variable "airbyte_client_secret" {
  description = "The application's secret."
  type        = string
  sensitive   = true
}

variable "shopify_access_token" {
  description = "Admin API access token of the shop's custom app: read_customers, read_orders, and read_all_orders for those of more than 60 days ago."
  type        = string
  sensitive   = true
}

variable "klaviyo_api_key" {
  description = "Private API key of Klaviyo, with read access."
  type        = string
  sensitive   = true
}

variable "s3_access_key_id" {
  description = "Key pair airbyte-s3 (docs/security.md): the key's id."
  type        = string
  sensitive   = true
}

variable "s3_secret_access_key" {
  description = "Key pair airbyte-s3: its secret."
  type        = string
  sensitive   = true
}

variable "airbyte_url" {
  description = "Where Airbyte is, without a closing slash."
  type        = string
}

variable "workspace_id" {
  description = "The workspace, as its address in Airbyte shows it."
  type        = string
}

variable "shopify_shop" {
  description = "The shop's name: what stands before .myshopify.com."
  type        = string
}

variable "start_date" {
  description = "The first day to read. An earlier one takes effect with a refresh (docs/airbyte.md)."
  type        = string
  default     = "2020-01-01"

  validation {
    condition     = can(regex("^\\d{4}-\\d{2}-\\d{2}$", var.start_date))
    error_message = "A day, as in 2020-01-01."
  }
}

variable "s3_endpoint" {
  description = "The object store, as Airbyte reaches it; empty for AWS."
  type        = string
}

variable "s3_region" {
  description = "The bucket's region, for AWS; other stores have none."
  type        = string
  default     = ""
}

variable "schedules" {
  description = "When each source is read: Quartz cron (seconds first), UTC."
  type        = map(string)
  default = {
    shopify = "0 5 * * * ?"
    klaviyo = "0 35 * * * ?"
  }
}
