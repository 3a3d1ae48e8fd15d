variable "region" {
  description = "Region of the bucket."
  type        = string
}

variable "bucket" {
  description = "Name of the bucket to make. Each tenant has a prefix in it."
  type        = string
}

variable "oidc_provider_arn" {
  description = "The OIDC provider in IAM of the EKS cluster."
  type        = string
}

variable "tenants" {
  description = "Tenants by name. `trusted_arns`: roles that may open sessions on S3 itself for one partner of the tenant."
  type = map(object({
    trusted_arns = optional(list(string), [])
  }))

  validation {
    condition     = alltrue([for name in keys(var.tenants) : can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", name))])
    error_message = "The names of tenants become prefixes and namespaces: up to 32 lower-case letters, digits and hyphens."
  }
}
