output "role_arn" {
  description = "ARN of the role: `role_arn` of the mounts."
  value       = aws_iam_role.this.arn
}

output "policy" {
  description = "The policy of the role, as JSON."
  value       = aws_iam_role_policy.this.policy
}
