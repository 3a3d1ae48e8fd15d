# Where copies and access logs go.

module "replica" {
  source     = "../../modules/bucket"
  providers  = { aws = aws.replica }
  name       = "${var.bucket}-replica"
  encryption = { algorithm = "aws:kms", kms_key_arn = aws_kms_key.copies.arn }

  # S3 replicates locked versions only into a bucket with locks
  object_lock = { mode = "GOVERNANCE", days = 7 }
}

module "logs" {
  source       = "../../modules/bucket"
  name         = "${var.bucket}-logs"
  versioning   = false
  expire_files = [{ prefix = "s3/", days = 365 }]

  policy_statements = [{
    Sid       = "S3WritesAccessLogs"
    Effect    = "Allow"
    Principal = { Service = "logging.s3.amazonaws.com" }
    Action    = "s3:PutObject"
    Resource  = "arn:${data.aws_partition.this.partition}:s3:::${var.bucket}-logs/s3/*"
    Condition = {
      StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.this.account_id }
      ArnLike      = { "aws:SourceArn" = "arn:${data.aws_partition.this.partition}:s3:::${var.bucket}" }
    }
  }]
}
