variable "name" {
  description = "Name of the table, which s3sftp is given as `shared_state.dynamodb_table`."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{3,255}$", var.name))
    error_message = "name should have 3 to 255 letters, digits and _.- characters."
  }
}

variable "role_name" {
  description = "Name of the server's role: output `role_name` of the module access."
  type        = string
}

variable "point_in_time_recovery" {
  description = "Keep backups of the last 35 days. What is in the table expires by itself within days."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Refuse to delete the table until this is off."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "A key of KMS that encrypts the table. Default: a key of DynamoDB."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags for the table."
  type        = map(string)
  default     = {}
}
