# The role of the server. Each statement of its policy is there for one reason, which its Sid says; tests of s3sftp
# compare the actions with the requests that the server makes, both ways.

locals {
  files = "${var.bucket_arn}/${var.prefix}*"

  # of a condition key that only some requests have: those that list
  below_prefix = var.prefix == "" ? {} : {
    Condition = { StringLike = { "s3:prefix" = "${var.prefix}*" } }
  }

  # with a bucket key KMS is told the bucket, without one the file
  for_these_files = {
    StringLike = {
      "kms:ViaService"                   = "s3.*.amazonaws.com*"
      "kms:EncryptionContext:aws:s3:arn" = [var.bucket_arn, local.files]
    }
  }

  statements = concat(
    [
      merge({
        Sid      = "ListDirectories"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = var.bucket_arn
      }, local.below_prefix),
      {
        Sid      = "ReadFiles"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = local.files
      },
      {
        Sid      = "WriteAndCopyFiles"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = local.files
      },
      {
        Sid      = "RemoveAndRenameFiles"
        Effect   = "Allow"
        Action   = ["s3:DeleteObject"]
        Resource = local.files
      },
      {
        Sid      = "AbortBrokenUploads"
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload"]
        Resource = local.files
      },
      {
        Sid      = "ReadPartsOfUploads"
        Effect   = "Allow"
        Action   = ["s3:ListMultipartUploadParts"]
        Resource = local.files
      },
      {
        # S3 knows no condition by which this could be limited to a prefix: it shows names of keys being uploaded
        Sid      = "FindUploadsOfCrashedServers"
        Effect   = "Allow"
        Action   = ["s3:ListBucketMultipartUploads"]
        Resource = var.bucket_arn
      },
    ],
    var.tags_of_files ? [{
      Sid      = "KeepTagsOfFiles"
      Effect   = "Allow"
      Action   = ["s3:GetObjectTagging", "s3:PutObjectTagging"]
      Resource = local.files
    }] : [],
    var.acl_of_files ? [{
      Sid      = "WriteAclOfFiles"
      Effect   = "Allow"
      Action   = ["s3:PutObjectAcl"]
      Resource = local.files
    }] : [],
    var.check_bucket ? [{
      Sid      = "CheckRulesOfBucket"
      Effect   = "Allow"
      Action   = ["s3:GetLifecycleConfiguration", "s3:GetBucketVersioning"]
      Resource = var.bucket_arn
    }] : [],
    var.kms_key_arn == null ? [] : [{
      Sid       = "EncryptAndDecryptFiles"
      Effect    = "Allow"
      Action    = ["kms:GenerateDataKey", "kms:Decrypt"]
      Resource  = var.kms_key_arn
      Condition = local.for_these_files
    }],
  )
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = "s3sftp: files in ${var.bucket_arn}/${var.prefix}"
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.trust
  })
}

resource "aws_iam_role_policy" "mounts" {
  count = length(var.mount_role_arns) == 0 ? 0 : 1
  name  = "roles-of-mounts"
  role  = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "AssumeRolesOfMounts"
      Effect   = "Allow"
      Action   = ["sts:AssumeRole"]
      Resource = var.mount_role_arns
    }]
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
