output "name" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.id
}

output "arn" {
  description = "ARN of the bucket, for policies."
  value       = aws_s3_bucket.this.arn
}

output "region" {
  description = "Region of the bucket."
  value       = aws_s3_bucket.this.region
}

output "kms_key_arn" {
  description = "The key that files are encrypted with; null when it is none of KMS, or the account's own."
  value       = var.encryption.kms_key_arn
}

output "s3_options" {
  description = "The options of s3sftp's group `[s3]` that say where this bucket is: `config.s3` of the chart."
  value = {
    bucket = aws_s3_bucket.this.id
    region = aws_s3_bucket.this.region
  }

  # who is told the name may use the bucket: by then it is protected
  depends_on = [
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_s3_bucket_lifecycle_configuration.this,
  ]
}
