output "role_arn" {
  description = "ARN of the server's role."
  value       = aws_iam_role.this.arn
}

output "role_name" {
  description = "Name of the server's role."
  value       = aws_iam_role.this.name
}

output "policy" {
  description = "The policy of the server's role, as JSON."
  value       = aws_iam_role_policy.this.policy
}

output "partner_role_arn" {
  description = "ARN of the role for sessions of partners; null without `partner_sessions`."
  value       = one(aws_iam_role.partner[*].arn)
}

output "service_account" {
  description = "`serviceAccount` of the chart: the name that the role trusts, and how pods take the role. Null for tasks of ECS."
  value = var.ecs_tasks ? null : {
    create      = true
    name        = var.irsa != null ? var.irsa.service_account : var.pod_identity.service_account
    irsaRoleArn = var.irsa != null ? aws_iam_role.this.arn : ""
    podIdentity = var.pod_identity != null
  }
}
