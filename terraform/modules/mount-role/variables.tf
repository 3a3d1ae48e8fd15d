variable "name" {
  description = "Name of the role. `mount_role_arns` of the module access, and `mount_roles` of the storage, have to allow it."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.name))
    error_message = "name should have 1 to 64 letters, digits and +=,.@_- characters."
  }
}

variable "bucket_arn" {
  description = "ARN of the bucket."
  type        = string
}

variable "prefix" {
  description = "What the role reaches in the bucket: the storage's prefix and that of the mount, or one that several mounts have in common."
  type        = string

  validation {
    condition     = can(regex("^([A-Za-z0-9!_.'()-]+/)+$", var.prefix))
    error_message = "prefix should be names joined by single slashes, with one at the end, like partners/acme/; wildcards of policies are refused."
  }
}

variable "server_role_arns" {
  description = "Who may assume the role: output `role_arn` of the module access, in whatever account."
  type        = list(string)

  validation {
    condition     = length(var.server_role_arns) > 0 && alltrue([for arn in var.server_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@/_-]+$", arn))])
    error_message = "server_role_arns should have the ARN of at least one role, and no wildcards: whoever they name reaches the partner's files."
  }
}

variable "external_id" {
  description = "The external id that the server has to give: `external_id` of the mount. For roles that another organisation makes for you."
  type        = string
  default     = null

  validation {
    condition     = var.external_id == null || try(can(regex("^[A-Za-z0-9_+=,.@:/-]{2,}$", var.external_id)) && length(var.external_id) <= 1224, false)
    error_message = "external_id should have 2 to 1224 letters, digits and _+=,.@:/- characters."
  }
}

variable "users" {
  description = "The users of s3sftp for whom the role may be assumed: sessions are named s3sftp-USER. Default: all."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for user in var.users : can(regex("^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,56}$", user))])
    error_message = "users should be names of 1 to 57 letters, digits and _.@+- characters: longer ones are shortened in the names of sessions."
  }
}

variable "rights" {
  description = "What the role may do: `read-only`, `pick-up` (read and remove), or `read-write`. Finer rights are those of the mount."
  type        = string
  default     = "read-write"
  nullable    = false

  validation {
    condition     = contains(["read-only", "pick-up", "read-write"], var.rights)
    error_message = "rights should be read-only, pick-up or read-write."
  }
}

variable "kms_key_arn" {
  description = "The key of KMS that the files are encrypted with."
  type        = string
  default     = null
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the role."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags for the role."
  type        = map(string)
  default     = {}
}
