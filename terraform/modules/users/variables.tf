variable "role_name" {
  description = "Name of the server's role: output `role_name` of the module access."
  type        = string
}

variable "table_name" {
  description = "Make a table with this name, whose items are users. s3sftp is given it as `dynamodb.users_table`."
  type        = string
  default     = null

  validation {
    condition     = var.table_name == null || can(regex("^[A-Za-z0-9_.-]{3,255}$", var.table_name))
    error_message = "table_name should have 3 to 255 letters, digits and _.- characters."
  }

  validation {
    condition     = var.table_name != null || var.secrets_prefix != null
    error_message = "At least one of table_name and secrets_prefix should say where users are."
  }
}

variable "secrets_prefix" {
  description = "Secrets whose names begin with this are users, like aws/transfer/s-1234567890abcdef0/. s3sftp is given it as `secrets_manager.prefix`. The secrets are not made here, so that no password is in Terraform's state."
  type        = string
  default     = null

  validation {
    condition     = var.secrets_prefix == null || can(regex("^[A-Za-z0-9/_+=.@-]{1,399}/$", var.secrets_prefix))
    error_message = "secrets_prefix should have 2 to 400 letters, digits and /_+=.@- characters, with a / at the end: otherwise it would cover secrets of others."
  }
}

variable "point_in_time_recovery" {
  description = "Keep backups of the table of the last 35 days."
  type        = bool
  default     = true
}

variable "deletion_protection" {
  description = "Refuse to delete the table until this is off."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "A key of KMS that encrypts the table, or the secrets, or both. Default: keys of these services."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags for the table."
  type        = map(string)
  default     = {}
}
