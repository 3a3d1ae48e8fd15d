mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name      = "sftp-shared"
  role_name = "s3sftp"
}

run "a_table_on_demand" {
  command = apply

  assert {
    condition     = aws_dynamodb_table.this.hash_key == "pk" && aws_dynamodb_table.this.range_key == "sk" && aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST"
    error_message = "The table should have the keys that the server uses, and need no planning."
  }

  assert {
    condition     = aws_dynamodb_table.this.ttl[0].enabled && aws_dynamodb_table.this.ttl[0].attribute_name == "expires"
    error_message = "What is old should be removed."
  }

  assert {
    condition     = length(jsondecode(aws_iam_role_policy.this.policy).Statement) == 1 && jsondecode(aws_iam_role_policy.this.policy).Statement[0].Resource == output.table_arn
    error_message = "The role should reach this table alone."
  }

  assert {
    condition     = output.config == { shared_state = { dynamodb_table = "sftp-shared" } } && output.table_name == "sftp-shared"
    error_message = "The server should be told the table."
  }
}

run "everything_asked_for" {
  command = apply

  variables {
    point_in_time_recovery = true
    deletion_protection    = true
    kms_key_arn            = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
    tags                   = { team = "files" }
  }

  assert {
    condition     = aws_dynamodb_table.this.point_in_time_recovery[0].enabled && aws_dynamodb_table.this.deletion_protection_enabled && aws_dynamodb_table.this.server_side_encryption[0].kms_key_arn == var.kms_key_arn
    error_message = "Backups, protection and the key should be as asked for."
  }

  assert {
    condition     = [for each in jsondecode(aws_iam_role_policy.this.policy).Statement : each.Action if each.Resource == var.kms_key_arn] == [["kms:Decrypt"]]
    error_message = "The role should decrypt with the key, and do nothing else with it."
  }
}

run "refuses_a_name_that_no_table_has" {
  command = plan

  variables {
    name = "x"
  }

  expect_failures = [var.name]
}
