# Sessions for one partner each: the tag `partner` of the session is a part of every resource that they reach.

locals {
  partner       = "$${aws:PrincipalTag/partner}"
  partner_files = "${var.bucket_arn}/${var.prefix}${local.partner}/*"
}

resource "aws_iam_role" "partner" {
  count                = var.partner_sessions == null ? 0 : 1
  name                 = "${var.name}-partner"
  description          = "Sessions with the tag partner, for files of that partner below ${var.bucket_arn}/${var.prefix}"
  max_session_duration = var.partner_sessions.duration_seconds
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TrustedOpenSessionsForPartners"
      Effect    = "Allow"
      Principal = { AWS = var.partner_sessions.trusted_arns }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        # one name: a tag has no wildcards, but it may be empty or a path
        StringLike                  = { "aws:RequestTag/partner" = "?*" }
        StringNotLike               = { "aws:RequestTag/partner" = "*/*" }
        "ForAllValues:StringEquals" = { "aws:TagKeys" = ["partner"] }
      }
    }]
  })
}

resource "aws_iam_role_policy" "partner" {
  count = var.partner_sessions == null ? 0 : 1
  name  = "files-of-one-partner"
  role  = aws_iam_role.partner[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid       = "ListOwnDirectories"
          Effect    = "Allow"
          Action    = ["s3:ListBucket"]
          Resource  = var.bucket_arn
          Condition = { StringLike = { "s3:prefix" = "${var.prefix}${local.partner}/*" } }
        },
        {
          Sid      = "ReadOwnFiles"
          Effect   = "Allow"
          Action   = ["s3:GetObject"]
          Resource = local.partner_files
        },
        {
          Sid      = "WriteOwnFiles"
          Effect   = "Allow"
          Action   = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
          Resource = local.partner_files
        },
        {
          Sid      = "RemoveOwnFiles"
          Effect   = "Allow"
          Action   = ["s3:DeleteObject"]
          Resource = local.partner_files
        },
      ],
      var.kms_key_arn == null ? [] : [{
        Sid      = "EncryptAndDecryptOwnFiles"
        Effect   = "Allow"
        Action   = ["kms:GenerateDataKey", "kms:Decrypt"]
        Resource = var.kms_key_arn
        Condition = {
          StringLike = {
            "kms:ViaService"                   = "s3.*.amazonaws.com*"
            "kms:EncryptionContext:aws:s3:arn" = [var.bucket_arn, local.partner_files]
          }
        }
      }],
    )
  })
}
