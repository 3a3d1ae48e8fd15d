output "table_name" {
  description = "Name of the table; null without one."
  value       = one(aws_dynamodb_table.this[*].name)
}

output "table_arn" {
  description = "ARN of the table, for whoever may change users; null without one."
  value       = one(aws_dynamodb_table.this[*].arn)
}

output "config" {
  description = "What the server needs: goes into `config` of the chart."
  value = merge(
    { for table in aws_dynamodb_table.this : "dynamodb" => { users_table = table.name } },
    { for prefix in var.secrets_prefix == null ? [] : [var.secrets_prefix] : "secrets_manager" => { prefix = prefix } },
  )
}
