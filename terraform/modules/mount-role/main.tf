# A role that the server assumes for the mounts of a partner (`role_arn` of a mount). Each session of it has a session
# policy of the server's besides, for the mounts of one user: a session may do what both allow.

locals {
  files = "${var.bucket_arn}/${var.prefix}*"
  # whether an empty directory is a file is found out by looking at its name without the slash
  directory = "${var.bucket_arn}/${trimsuffix(var.prefix, "/")}"

  conditions = merge(
    var.external_id == null ? {} : { StringEquals = { "sts:ExternalId" = var.external_id } },
    length(var.users) == 0 ? {} : {
      StringLike = { "sts:RoleSessionName" = [for user in var.users : "s3sftp-${user}"] }
    },
  )

  statements = concat(
    [
      {
        Sid       = "ListDirectories"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [var.bucket_arn]
        Condition = { StringLike = { "s3:prefix" = "${var.prefix}*" } }
      },
      {
        Sid      = "ReadFiles"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectTagging"]
        Resource = [local.directory, local.files]
      },
    ],
    var.rights != "read-write" ? [] : [{
      Sid      = "StoreFiles"
      Effect   = "Allow"
      Action   = ["s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
      Resource = [local.files]
    }],
    var.rights == "read-only" ? [] : [{
      Sid      = "RemoveFiles"
      Effect   = "Allow"
      Action   = ["s3:DeleteObject"]
      Resource = [local.files]
    }],
    var.kms_key_arn == null ? [] : [{
      Sid      = "EncryptAndDecryptFiles"
      Effect   = "Allow"
      Action   = var.rights == "read-write" ? ["kms:GenerateDataKey", "kms:Decrypt"] : ["kms:Decrypt"]
      Resource = [var.kms_key_arn]
      Condition = {
        StringLike = {
          "kms:ViaService"                   = "s3.*.amazonaws.com*"
          "kms:EncryptionContext:aws:s3:arn" = [var.bucket_arn, local.files]
        }
      }
    }],
  )
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = "s3sftp: mounts of ${var.bucket_arn}/${var.prefix}"
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge({
      Sid       = "ServerForItsUsers"
      Effect    = "Allow"
      Principal = { AWS = var.server_role_arns }
      Action    = ["sts:AssumeRole"]
    }, length(local.conditions) == 0 ? {} : { Condition = local.conditions })]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "files"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.statements
  })
}
