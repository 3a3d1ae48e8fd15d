variable "name" {
  description = "Name of the bucket."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.name)) && !strcontains(var.name, "..")
    error_message = "name should have 3 to 63 lower-case letters, digits, hyphens and dots, and begin and end with a letter or digit."
  }
}

variable "force_destroy" {
  description = "Remove the bucket with all files in it when Terraform destroys it."
  type        = bool
  default     = false
}

variable "encryption" {
  description = "How files are encrypted at rest. `algorithm`: `AES256` (SSE-S3), `aws:kms` or `aws:kms:dsse`. `kms_key_arn`: the key for the last two; without one it is the account's key for S3, which other accounts cannot use. `bucket_key`: ask KMS once for many files."
  type = object({
    algorithm   = optional(string, "AES256")
    kms_key_arn = optional(string)
    bucket_key  = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["AES256", "aws:kms", "aws:kms:dsse"], var.encryption.algorithm)
    error_message = "encryption.algorithm should be AES256, aws:kms or aws:kms:dsse."
  }

  validation {
    condition     = var.encryption.kms_key_arn == null || var.encryption.algorithm != "AES256"
    error_message = "encryption.kms_key_arn needs encryption.algorithm = \"aws:kms\": AES256 uses no key of KMS."
  }

  validation {
    condition     = var.encryption.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:", var.encryption.kms_key_arn))
    error_message = "encryption.kms_key_arn should be the ARN of a key, like arn:aws:kms:eu-central-1:111122223333:key/…"
  }
}

variable "versioning" {
  description = "Keep what is replaced or removed as an old version, for `old_versions.expire_days`."
  type        = bool
  default     = true
}

variable "abort_unfinished_uploads_days" {
  description = "Days after which an upload that nobody finished is aborted. s3sftp aborts its own; this is for what a crash leaves. Longer than the longest upload takes, and than files.resume of the server."
  type        = number
  default     = 7

  validation {
    condition     = var.abort_unfinished_uploads_days >= 1 && floor(var.abort_unfinished_uploads_days) == var.abort_unfinished_uploads_days
    error_message = "abort_unfinished_uploads_days should be a whole number of days, 1 or more."
  }
}

variable "transitions" {
  description = "When files move to a cheaper storage class. s3sftp cannot read files in GLACIER and DEEP_ARCHIVE until somebody restores them: clients are told that the file is archived."
  type = list(object({
    days          = number
    storage_class = string
    prefix        = optional(string, "")
  }))
  default  = []
  nullable = false

  validation {
    condition = alltrue([for each in var.transitions : contains(
      ["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"], each.storage_class
    )])
    error_message = "transitions.storage_class should be STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER_IR, GLACIER or DEEP_ARCHIVE."
  }

  validation {
    condition     = alltrue([for each in var.transitions : each.days >= (endswith(each.storage_class, "_IA") ? 30 : 0)])
    error_message = "transitions.days should be at least 30 for STANDARD_IA and ONEZONE_IA, and not negative."
  }
}

variable "old_versions" {
  description = "What becomes of old versions, with `versioning`. `expire_days`: they are removed after so many days. `keep`: so many of the newest stay longer."
  type = object({
    expire_days = optional(number, 90)
    keep        = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.old_versions.expire_days >= 1
    error_message = "old_versions.expire_days should be 1 or more."
  }

  validation {
    condition     = var.old_versions.keep == null || try(var.old_versions.keep >= 1 && var.old_versions.keep <= 100, false)
    error_message = "old_versions.keep should be 1 to 100."
  }
}

variable "expire_files" {
  description = "Files below `prefix` that are removed `days` after they were written, such as what partners have fetched."
  type = list(object({
    prefix = string
    days   = number
  }))
  default  = []
  nullable = false

  validation {
    condition     = alltrue([for each in var.expire_files : each.days >= 1])
    error_message = "expire_files.days should be 1 or more."
  }
}

variable "object_lock" {
  description = "Keep each version from being removed for some `days`: `GOVERNANCE` (those with a permission of their own may) or `COMPLIANCE` (nobody may). A bucket has it from its creation or never. Clients can still remove and replace files: the old version stays. Leave `s3.checksum` of s3sftp at its default: S3 refuses writes without a checksum here."
  type = object({
    mode = string
    days = number
  })
  default = null

  validation {
    condition     = var.object_lock == null || contains(["GOVERNANCE", "COMPLIANCE"], try(var.object_lock.mode, ""))
    error_message = "object_lock.mode should be GOVERNANCE or COMPLIANCE."
  }

  validation {
    condition     = var.object_lock == null || try(var.object_lock.days >= 1, false)
    error_message = "object_lock.days should be 1 or more."
  }

  validation {
    condition     = var.object_lock == null || var.versioning
    error_message = "object_lock needs versioning = true: it locks versions."
  }
}

variable "replication" {
  description = "A bucket, usually in another region, that gets a copy of each file. It needs versioning, and with `object_lock` locks. `kms_key_arn`: the key there, when files are encrypted with KMS. `account_id`: its owner, when that is another account. `storage_class`: the class of the copies. `deletions`: removed files disappear there too."
  type = object({
    bucket_arn    = string
    kms_key_arn   = optional(string)
    account_id    = optional(string)
    storage_class = optional(string, "STANDARD")
    deletions     = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.replication == null || var.versioning
    error_message = "replication needs versioning = true: S3 replicates versions."
  }

  validation {
    condition     = var.replication == null || (try(var.replication.kms_key_arn, null) != null) == (var.encryption.kms_key_arn != null)
    error_message = "replication.kms_key_arn and encryption.kms_key_arn go together: what is encrypted with a key here needs one there."
  }

  validation {
    condition = var.replication == null || contains(
      ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"],
      try(var.replication.storage_class, "")
    )
    error_message = "replication.storage_class should be STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER_IR, GLACIER or DEEP_ARCHIVE."
  }
}

variable "access_logs" {
  description = "A bucket of the same region and account that gets S3's server access logs, below `prefix`. Its policy has to let logging.s3.amazonaws.com write."
  type = object({
    bucket = string
    prefix = optional(string, "s3/")
  })
  default = null
}

variable "eventbridge" {
  description = "Send an event to EventBridge for each file that is written or removed."
  type        = bool
  default     = false
}

variable "policy_statements" {
  description = "More statements for the bucket's policy: a bucket has one policy only."
  type        = any
  default     = []
}

variable "tags" {
  description = "Tags for all that this module makes."
  type        = map(string)
  default     = {}
}
