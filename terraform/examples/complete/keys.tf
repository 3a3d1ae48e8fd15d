# One key for the files, one in the other region for the copies. Each is used by whom IAM lets use it.

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  key_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "PoliciesOfThisAccountDecide"
      Effect    = "Allow"
      Principal = { AWS = "arn:${data.aws_partition.this.partition}:iam::${data.aws_caller_identity.this.account_id}:root" }
      Action    = "kms:*"
      Resource  = "*"
    }]
  })
}

resource "aws_kms_key" "files" {
  description             = "Files of s3sftp"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = local.key_policy
}

resource "aws_kms_key" "copies" {
  provider                = aws.replica
  description             = "Copies of the files of s3sftp"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = local.key_policy
}
