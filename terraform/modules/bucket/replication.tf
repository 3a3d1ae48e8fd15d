# Copies of all files in another bucket, by a role that can do nothing else.


resource "aws_iam_role" "replication" {
  count       = var.replication == null ? 0 : 1
  name_prefix = "s3sftp-replication-"
  description = "S3 copies the files of ${var.name} to another bucket"
  tags        = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "S3Replicates" # AWS documents no condition for live replication
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "replication" {
  count = var.replication == null ? 0 : 1
  name  = "replicate"
  role  = aws_iam_role.replication[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "FindWhatToReplicate"
          Effect   = "Allow"
          Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
          Resource = aws_s3_bucket.this.arn
        },
        {
          Sid    = "ReadVersions"
          Effect = "Allow"
          Action = [
            "s3:GetObjectVersionForReplication",
            "s3:GetObjectVersionAcl",
            "s3:GetObjectVersionTagging",
            "s3:GetObjectRetention",
            "s3:GetObjectLegalHold",
          ]
          Resource = "${aws_s3_bucket.this.arn}/*"
        },
        {
          Sid    = "WriteCopies"
          Effect = "Allow"
          Action = concat(
            ["s3:ReplicateObject", "s3:ReplicateTags"],
            var.replication.deletions ? ["s3:ReplicateDelete"] : [],
            var.replication.account_id == null ? [] : ["s3:ObjectOwnerOverrideToBucketOwner"],
          )
          Resource = "${var.replication.bucket_arn}/*"
        },
      ],
      var.replication.kms_key_arn == null ? [] : [
        {
          Sid       = "DecryptHere"
          Effect    = "Allow"
          Action    = "kms:Decrypt"
          Resource  = var.encryption.kms_key_arn
          Condition = { StringLike = { "kms:ViaService" = "s3.*.amazonaws.com*" } }
        },
        {
          Sid       = "EncryptThere"
          Effect    = "Allow"
          Action    = "kms:Encrypt"
          Resource  = var.replication.kms_key_arn
          Condition = { StringLike = { "kms:ViaService" = "s3.*.amazonaws.com*" } }
        },
      ],
    )
  })
}

resource "aws_s3_bucket_replication_configuration" "this" {
  count  = var.replication == null ? 0 : 1
  bucket = aws_s3_bucket.this.id
  role   = aws_iam_role.replication[0].arn

  rule {
    id       = "copy-all-files"
    status   = "Enabled"
    priority = 0

    filter {
      prefix = ""
    }

    delete_marker_replication {
      status = var.replication.deletions ? "Enabled" : "Disabled"
    }

    dynamic "source_selection_criteria" {
      for_each = var.replication.kms_key_arn == null ? [] : [1]

      content {
        sse_kms_encrypted_objects {
          status = "Enabled"
        }
      }
    }

    destination {
      bucket        = var.replication.bucket_arn
      account       = var.replication.account_id
      storage_class = var.replication.storage_class

      dynamic "encryption_configuration" {
        for_each = var.replication.kms_key_arn == null ? [] : [var.replication.kms_key_arn]

        content {
          replica_kms_key_id = encryption_configuration.value
        }
      }

      dynamic "access_control_translation" {
        for_each = var.replication.account_id == null ? [] : [1]

        content {
          owner = "Destination"
        }
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
