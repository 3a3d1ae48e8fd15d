# One bucket; for each tenant a prefix, a namespace, a release of the chart, and a role that reaches that prefix alone.

module "bucket" {
  source = "../../modules/bucket"
  name   = var.bucket
}

module "access" {
  source   = "../../modules/access"
  for_each = var.tenants

  name       = "s3sftp-${each.key}"
  bucket_arn = module.bucket.arn
  prefix     = "${each.key}/"

  irsa = {
    oidc_provider_arn = var.oidc_provider_arn
    namespace         = "s3sftp-${each.key}"
    service_account   = "s3sftp"
  }

  partner_sessions = length(each.value.trusted_arns) == 0 ? null : { trusted_arns = each.value.trusted_arns }
}
