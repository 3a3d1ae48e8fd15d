output "helm_values" {
  description = "Values for the chart: `terraform output -json helm_values > values.json`."
  value = {
    config         = { s3 = merge(module.bucket.s3_options, { prefix = var.prefix }) }
    serviceAccount = module.access.service_account
  }
}
