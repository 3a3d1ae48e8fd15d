# A bucket, and a role that the chart's pods take by IRSA. Clients reach them as the cluster's Services are reached.

module "bucket" {
  source = "../../modules/bucket"
  name   = var.bucket
}

module "access" {
  source     = "../../modules/access"
  name       = "s3sftp"
  bucket_arn = module.bucket.arn
  prefix     = var.prefix

  irsa = {
    oidc_provider_arn = var.oidc_provider_arn
    namespace         = var.namespace
    service_account   = "s3sftp"
  }
}
