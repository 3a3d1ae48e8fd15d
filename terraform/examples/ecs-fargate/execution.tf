# What ECS does before the server runs: fetch the image, read the secrets, open the log.

data "aws_partition" "this" {}

data "aws_caller_identity" "this" {}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:the log has no content of files; give it a key of KMS where a rule asks for one
  name              = "/s3sftp"
  retention_in_days = 365
}

resource "aws_iam_role" "execution" {
  name        = "s3sftp-execution"
  description = "ECS starts tasks of s3sftp"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TasksOfThisAccount"
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.this.account_id } }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.id
  policy_arn = "arn:${data.aws_partition.this.partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "secrets" {
  name = "secrets"
  role = aws_iam_role.execution.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ReadHostKeyAndUsers"
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = [var.host_key_secret_arn, var.users_secret_arn]
    }]
  })
}
