variable "name" {
  description = "Name of the role."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,55}$", var.name))
    error_message = "name should have 1 to 55 letters, digits and +=,.@_- characters: `-partner` is added for the role of partners."
  }
}

variable "bucket_arn" {
  description = "ARN of the bucket: output `arn` of the module bucket."
  type        = string
}

variable "prefix" {
  description = "The prefix that s3sftp is given as `s3.prefix`: the role reaches nothing outside it. Empty: the whole bucket."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.prefix == "" || can(regex("^([A-Za-z0-9!_.'()-]+/)+$", var.prefix))
    error_message = "prefix should be names joined by single slashes, with one at the end, like partners/acme/; wildcards of policies are refused."
  }
}

variable "kms_key_arn" {
  description = "The key of KMS that the files are encrypted with: output `kms_key_arn` of the module bucket."
  type        = string
  default     = null
}

variable "irsa" {
  description = "Pods take the role by the token of their ServiceAccount (IRSA). `oidc_provider_arn`: the cluster's provider in IAM."
  type = object({
    oidc_provider_arn = string
    namespace         = string
    service_account   = string
  })
  default = null

  validation {
    condition     = var.irsa == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/.+$", var.irsa.oidc_provider_arn))
    error_message = "irsa.oidc_provider_arn should be like arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/…"
  }

  validation {
    condition     = var.irsa == null || can(regex("^[a-z0-9-]+$", var.irsa.namespace)) && can(regex("^[a-z0-9.-]+$", var.irsa.service_account))
    error_message = "irsa.namespace and irsa.service_account should be the names of one namespace and one ServiceAccount, without wildcards."
  }
}

variable "pod_identity" {
  description = "Pods get the role from EKS Pod Identity; the association is made here."
  type = object({
    cluster_name    = string
    namespace       = string
    service_account = string
  })
  default = null
}

variable "ecs_tasks" {
  description = "Tasks of ECS in this account take the role."
  type        = bool
  default     = false

  validation {
    condition     = length([for each in [var.irsa != null, var.pod_identity != null, var.ecs_tasks] : each if each]) == 1
    error_message = "Exactly one of irsa, pod_identity and ecs_tasks should say who takes the role."
  }
}

variable "tags_of_files" {
  description = "Files have tags: from `s3.tags`, or from others. A copy, so a rename too, keeps them only with these permissions, and S3 refuses it without."
  type        = bool
  default     = true
}

variable "acl_of_files" {
  description = "`s3.acl` is set: each file is written with that ACL. Buckets of the module bucket have no ACLs."
  type        = bool
  default     = false
}

variable "check_bucket" {
  description = "Let `s3sftp check` look at the bucket's lifecycle rules and versioning. The server does not need it."
  type        = bool
  default     = true
}

variable "partner_sessions" {
  description = "Make a second role, for programs that give one partner direct access to S3. Each session of it has the tag `partner`, and reaches the files of that partner alone: those below `prefix` and the partner's name. `trusted_arns`: the roles that may open such sessions."
  type = object({
    trusted_arns     = list(string)
    duration_seconds = optional(number, 3600)
  })
  default = null

  validation {
    condition     = var.partner_sessions == null || try(length(var.partner_sessions.trusted_arns) > 0 && !contains(var.partner_sessions.trusted_arns, "*"), false)
    error_message = "partner_sessions.trusted_arns should name at least one role, and not everybody (*)."
  }

  validation {
    condition     = var.partner_sessions == null || try(var.partner_sessions.duration_seconds >= 3600 && var.partner_sessions.duration_seconds <= 43200, false)
    error_message = "partner_sessions.duration_seconds should be 3600 to 43200: that is what IAM takes."
  }
}

variable "mount_role_arns" {
  description = "Roles that the server may assume for mounts: those of the module mount-role, in whatever account, or patterns of them like arn:aws:iam::111122223333:role/sftp-partner-*. The same as `mount_roles` of the storages."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.mount_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@/_-]+[A-Za-z0-9+=,.@/_*-]*$", arn))])
    error_message = "mount_role_arns should be ARNs of roles in one account each; a * may stand for any characters behind the beginning of a name."
  }
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the roles."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags for all that this module makes."
  type        = map(string)
  default     = {}
}
