output "table_name" {
  description = "Name of the table."
  value       = aws_dynamodb_table.this.name
}

output "table_arn" {
  description = "ARN of the table."
  value       = aws_dynamodb_table.this.arn
}

output "config" {
  description = "What the server needs: goes into `config` of the chart."
  value       = { shared_state = { dynamodb_table = aws_dynamodb_table.this.name } }
}
