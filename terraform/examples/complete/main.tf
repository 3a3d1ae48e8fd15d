# All that there is: a key of KMS, locked versions, copies in another region, access logs, events, Pod Identity,
# addresses that stay, and a name.

locals {
  prefix = "partners/"
}

module "bucket" {
  source      = "../../modules/bucket"
  name        = var.bucket
  encryption  = { algorithm = "aws:kms", kms_key_arn = aws_kms_key.files.arn }
  eventbridge = true

  transitions  = [{ days = 30, storage_class = "STANDARD_IA" }, { days = 180, storage_class = "GLACIER_IR" }]
  old_versions = { expire_days = 60, keep = 3 }
  object_lock  = { mode = "GOVERNANCE", days = 7 }

  access_logs = { bucket = module.logs.name }
  replication = { bucket_arn = module.replica.arn, kms_key_arn = aws_kms_key.copies.arn }
}

module "access" {
  source      = "../../modules/access"
  name        = "s3sftp"
  bucket_arn  = module.bucket.arn
  prefix      = local.prefix
  kms_key_arn = aws_kms_key.files.arn

  pod_identity = {
    cluster_name    = var.cluster_name
    namespace       = var.namespace
    service_account = "s3sftp"
  }
}

module "network" {
  source        = "../../modules/network"
  name          = "s3sftp"
  load_balancer = false # the AWS Load Balancer Controller makes it, from the chart's Service
  vpc_id        = var.vpc_id
  subnet_ids    = var.public_subnet_ids
  client_cidrs  = var.client_cidrs
  dns           = var.dns
}
