mock_provider "aws" {
  source = "../../mocks"
}

variables {
  role_name = "s3sftp"
}

run "a_table" {
  command = apply

  variables {
    table_name = "sftp-users"
  }

  assert {
    condition     = aws_dynamodb_table.this[0].hash_key == "user" && aws_dynamodb_table.this[0].billing_mode == "PAY_PER_REQUEST"
    error_message = "The table should have the key that the server looks for, and need no planning."
  }

  assert {
    condition     = aws_dynamodb_table.this[0].point_in_time_recovery[0].enabled && aws_dynamodb_table.this[0].deletion_protection_enabled
    error_message = "Users should not be lost by mistake."
  }

  assert {
    condition     = [for each in jsondecode(aws_iam_role_policy.this.policy).Statement : each.Resource] == [output.table_arn]
    error_message = "The role should reach this table alone."
  }

  assert {
    condition     = output.config.dynamodb == { users_table = "sftp-users" } && output.table_name == "sftp-users"
    error_message = "The server should be told the table."
  }
}

run "secrets" {
  command = apply

  variables {
    secrets_prefix = "aws/transfer/s-1234567890abcdef0/"
  }

  assert {
    condition = [for each in jsondecode(aws_iam_role_policy.this.policy).Statement : each.Resource] == [
      "arn:aws:secretsmanager:eu-central-1:111122223333:secret:aws/transfer/s-1234567890abcdef0/*"
    ]
    error_message = "The role should reach secrets below the prefix alone, in this region and account."
  }

  assert {
    condition     = output.config.secrets_manager == { prefix = "aws/transfer/s-1234567890abcdef0/" } && output.table_arn == null
    error_message = "The server should be told the prefix."
  }
}

run "everything_asked_for" {
  command = apply

  variables {
    table_name             = "sftp-users"
    secrets_prefix         = "sftp/"
    point_in_time_recovery = false
    deletion_protection    = false
    kms_key_arn            = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
    tags                   = { team = "files" }
  }

  assert {
    condition     = aws_dynamodb_table.this[0].server_side_encryption[0].kms_key_arn == var.kms_key_arn && !aws_dynamodb_table.this[0].deletion_protection_enabled
    error_message = "The key and the protection should be as asked for."
  }

  assert {
    condition     = [for each in jsondecode(aws_iam_role_policy.this.policy).Statement : each.Action if each.Resource == var.kms_key_arn] == [["kms:Decrypt"]]
    error_message = "The role should decrypt with the key, and do nothing else with it."
  }
}

run "refuses_a_name_that_no_table_has" {
  command = plan

  variables {
    table_name = "x"
  }

  expect_failures = [var.table_name]
}

run "refuses_users_that_are_nowhere" {
  command = plan

  expect_failures = [var.table_name]
}

run "refuses_a_prefix_that_covers_secrets_of_others" {
  command = plan

  variables {
    secrets_prefix = "aws/transfer"
  }

  expect_failures = [var.secrets_prefix]
}
