mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name             = "sftp-partner-acme"
  bucket_arn       = "arn:aws:s3:::acme-exchange"
  prefix           = "partners/acme/"
  server_role_arns = ["arn:aws:iam::111122223333:role/s3sftp"]
}

run "everything_asked_for" {
  command = apply

  variables {
    external_id              = "acme-7f3c"
    users                    = ["acme", "acme.test"]
    kms_key_arn              = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
    permissions_boundary_arn = "arn:aws:iam::111122223333:policy/boundary"
    tags                     = { team = "files" }
  }

  assert {
    condition = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition == {
      StringEquals = { "sts:ExternalId" = "acme-7f3c" }
      StringLike   = { "sts:RoleSessionName" = ["s3sftp-acme", "s3sftp-acme.test"] }
    }
    error_message = "Who assumes it should know the external id, and do so for these users."
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Principal.AWS == ["arn:aws:iam::111122223333:role/s3sftp"]
    error_message = "The server should be trusted, and nobody else."
  }

  assert {
    condition     = aws_iam_role.this.permissions_boundary == var.permissions_boundary_arn && output.role_arn == aws_iam_role.this.arn
    error_message = "The role should have the boundary."
  }

  assert {
    condition = alltrue([for each in jsondecode(output.policy).Statement : alltrue([for resource in each.Resource :
      startswith(resource, "arn:aws:s3:::acme-exchange/partners/acme") || can(each.Condition)
    ])])
    error_message = "The role should reach what is below the prefix alone."
  }
}

run "to_read" {
  command = apply

  variables {
    rights      = "read-only"
    kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = flatten([for each in jsondecode(output.policy).Statement : each.Action]) == ["s3:ListBucket", "s3:GetObject", "s3:GetObjectTagging", "kms:Decrypt"]
    error_message = "Nothing should be stored or removed."
  }

  assert {
    condition     = !can(jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition)
    error_message = "There should be no condition unless asked for."
  }
}

run "to_pick_up" {
  command = apply

  variables {
    rights = "pick-up"
  }

  assert {
    condition     = flatten([for each in jsondecode(output.policy).Statement : each.Action]) == ["s3:ListBucket", "s3:GetObject", "s3:GetObjectTagging", "s3:DeleteObject"]
    error_message = "Files should be read and removed, and none stored."
  }
}

run "refuses_a_name_that_no_role_has" {
  command = plan

  variables {
    name = "sftp/acme"
  }

  expect_failures = [var.name]
}

run "refuses_a_prefix_with_a_wildcard" {
  command = plan

  variables {
    prefix = "partners/*/"
  }

  expect_failures = [var.prefix]
}

run "refuses_to_trust_everybody" {
  command = plan

  variables {
    server_role_arns = ["*"]
  }

  expect_failures = [var.server_role_arns]
}

run "refuses_an_external_id_that_sts_does" {
  command = plan

  variables {
    external_id = "a b"
  }

  expect_failures = [var.external_id]
}

run "refuses_users_whose_sessions_have_other_names" {
  command = plan

  variables {
    users = ["*"]
  }

  expect_failures = [var.users]
}

run "refuses_rights_that_there_are_not" {
  command = plan

  variables {
    rights = "drop-box"
  }

  expect_failures = [var.rights]
}
