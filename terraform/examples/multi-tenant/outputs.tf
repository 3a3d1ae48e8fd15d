output "helm_values" {
  description = "Values for the chart, by tenant: `terraform output -json helm_values | jq '.[\"acme\"]' > values.json`."
  value = {
    for name in keys(var.tenants) : name => {
      config         = { s3 = merge(module.bucket.s3_options, { prefix = "${name}/" }) }
      serviceAccount = module.access[name].service_account
    }
  }
}

output "partner_roles" {
  description = "The role for sessions of partners, by tenant."
  value       = { for name, access in module.access : name => access.partner_role_arn if access.partner_role_arn != null }
}
