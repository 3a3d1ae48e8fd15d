output "helm_values" {
  description = "Values for the chart: `terraform output -json helm_values > values.json`."
  value = {
    config         = { s3 = module.bucket.s3_options }
    serviceAccount = module.access.service_account
  }
}
