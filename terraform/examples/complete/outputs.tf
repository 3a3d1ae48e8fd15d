output "helm_values" {
  description = "Values for the chart: `terraform output -json helm_values > values.json`."
  value = {
    config = {
      s3     = merge(module.bucket.s3_options, { prefix = local.prefix })
      listen = module.network.listen_options
    }
    serviceAccount = module.access.service_account
    service        = module.network.service
  }
}

output "addresses" {
  description = "For the firewalls of partners."
  value       = module.network.static_addresses
}
