# The table through which replicas share bans, points of offences and used verification codes, and what the server may
# do with it: the requests that it sends, and no others.

resource "aws_dynamodb_table" "this" {
  #checkov:skip=CKV_AWS_28:what is in it is worth little after its time to live, so a backup is asked for
  #checkov:skip=CKV_AWS_119:a key of the customer is asked for with kms_key_arn; without it DynamoDB encrypts with its own
  #checkov:skip=CKV2_AWS_16:the table is on demand, which needs no scaling
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection
  tags                        = var.tags

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
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
  name = "shared-state"
  role = var.role_name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "ShareStateAmongReplicas"
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"]
        Resource = aws_dynamodb_table.this.arn
      }],
      var.kms_key_arn == null ? [] : [{
        Sid       = "DecryptSharedState"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = var.kms_key_arn
        Condition = { StringLike = { "kms:ViaService" = "dynamodb.*.amazonaws.com*" } }
      }],
    )
  })
}
