# A bucket for s3sftp: private, encrypted, reached by TLS alone, and with rules that clean up.

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:access logs are the variable access_logs, as they need another bucket
  #checkov:skip=CKV_AWS_19:encryption is the resource below, always there
  #checkov:skip=CKV_AWS_21:versioning is the resource below, on by default
  #checkov:skip=CKV_AWS_144:replication is the variable of that name, as it needs another bucket
  #checkov:skip=CKV_AWS_145:KMS is the variable encryption; SSE-S3 is the default
  #checkov:skip=CKV2_AWS_62:notifications are the variable eventbridge
  bucket              = var.name
  force_destroy       = var.force_destroy
  object_lock_enabled = var.object_lock != null
  tags                = var.tags
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# no ACLs: who may do what is said by policies alone
resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = var.encryption.algorithm == "aws:kms" ? var.encryption.bucket_key : null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.encryption.algorithm
      kms_master_key_id = var.encryption.kms_key_arn
    }
  }
}

# without this resource a new bucket keeps one version of each file; taking it away later suspends versioning
resource "aws_s3_bucket_versioning" "this" {
  count  = var.versioning ? 1 : 0
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(var.policy_statements, [
      {
        Sid       = "RefusePlainHttp"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "RefuseOldTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
        Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
      },
    ])
  })

  # S3 refuses a policy while the block is being put in place
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  #checkov:skip=CKV_AWS_300:the first rule does it; checkov loses it where dynamic rules follow
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "abort-unfinished-uploads"
    status = "Enabled"

    filter {} # all files

    abort_incomplete_multipart_upload {
      days_after_initiation = var.abort_unfinished_uploads_days
    }
  }

  dynamic "rule" {
    for_each = var.transitions

    content {
      id     = "move-to-${lower(replace(rule.value.storage_class, "_", "-"))}-${rule.key}"
      status = "Enabled"

      filter {
        prefix = rule.value.prefix
      }

      transition {
        days          = rule.value.days
        storage_class = rule.value.storage_class
      }
    }
  }

  dynamic "rule" {
    for_each = var.expire_files

    content {
      id     = "expire-files-${rule.key}"
      status = "Enabled"

      filter {
        prefix = rule.value.prefix
      }

      expiration {
        days = rule.value.days
      }
    }
  }

  dynamic "rule" {
    for_each = var.versioning ? [var.old_versions] : []

    content {
      id     = "expire-old-versions"
      status = "Enabled"

      filter {} # all files

      noncurrent_version_expiration {
        noncurrent_days           = rule.value.expire_days
        newer_noncurrent_versions = rule.value.keep
      }

      # the mark of a removed file of which no version is left
      expiration {
        expired_object_delete_marker = true
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_object_lock_configuration" "this" {
  count  = var.object_lock == null ? 0 : 1
  bucket = aws_s3_bucket.this.id

  rule {
    default_retention {
      mode = var.object_lock.mode
      days = var.object_lock.days
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_logging" "this" {
  count         = var.access_logs == null ? 0 : 1
  bucket        = aws_s3_bucket.this.id
  target_bucket = var.access_logs.bucket
  target_prefix = var.access_logs.prefix
}

resource "aws_s3_bucket_notification" "this" {
  count       = var.eventbridge ? 1 : 0
  bucket      = aws_s3_bucket.this.id
  eventbridge = true
}
