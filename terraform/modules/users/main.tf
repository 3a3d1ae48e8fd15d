# Users in AWS: a table of DynamoDB, secrets below a prefix, or both, and the server's right to look a user up in them. It
# may neither list users nor change one.

data "aws_partition" "this" {}
data "aws_region" "this" {}
data "aws_caller_identity" "this" {}

locals {
  # of Secrets Manager, whose ARNs end in six random characters that nobody knows before
  secrets = var.secrets_prefix == null ? "" : join(":", [
    "arn", data.aws_partition.this.partition, "secretsmanager", data.aws_region.this.region,
    data.aws_caller_identity.this.account_id, "secret", "${var.secrets_prefix}*",
  ])

  via = concat(
    var.table_name == null ? [] : ["dynamodb.*.amazonaws.com*"],
    var.secrets_prefix == null ? [] : ["secretsmanager.*.amazonaws.com*"],
  )
}

resource "aws_dynamodb_table" "this" {
  #checkov:skip=CKV_AWS_28:backups are on unless they are refused by point_in_time_recovery
  #checkov:skip=CKV_AWS_119:a key of the customer is asked for with kms_key_arn; without it DynamoDB encrypts with its own
  #checkov:skip=CKV2_AWS_16:the table is on demand, which needs no scaling
  count                       = var.table_name == null ? 0 : 1
  name                        = var.table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "user"
  deletion_protection_enabled = var.deletion_protection
  tags                        = var.tags

  attribute {
    name = "user"
    type = "S"
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_iam_role_policy" "this" {
  name = "users"
  role = var.role_name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for table in aws_dynamodb_table.this : {
        Sid      = "LookUpUsersInTheTable"
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem"]
        Resource = table.arn
      }],
      var.secrets_prefix == null ? [] : [{
        Sid      = "LookUpUsersInSecrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = local.secrets
      }],
      var.kms_key_arn == null ? [] : [{
        Sid       = "DecryptUsers"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = var.kms_key_arn
        Condition = { StringLike = { "kms:ViaService" = local.via } }
      }],
    )
  })
}
