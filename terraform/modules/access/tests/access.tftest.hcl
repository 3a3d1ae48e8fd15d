mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name       = "s3sftp"
  bucket_arn = "arn:aws:s3:::acme-exchange"
}

run "by_service_account_token" {
  command = apply

  variables {
    prefix = "partners/"
    irsa = {
      oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123"
      namespace         = "files"
      service_account   = "s3sftp"
    }
  }

  assert {
    condition = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.StringEquals == {
      "oidc.eks.eu-central-1.amazonaws.com/id/0123:aud" = "sts.amazonaws.com"
      "oidc.eks.eu-central-1.amazonaws.com/id/0123:sub" = "system:serviceaccount:files:s3sftp"
    }
    error_message = "One ServiceAccount of one namespace should be trusted, and tokens for STS alone."
  }

  assert {
    condition = alltrue([for each in jsondecode(output.policy).Statement : contains(
      ["arn:aws:s3:::acme-exchange", "arn:aws:s3:::acme-exchange/partners/*"], each.Resource
    )])
    error_message = "Files should be those below the prefix."
  }

  assert {
    condition     = jsondecode(output.policy).Statement[0].Condition.StringLike["s3:prefix"] == "partners/*"
    error_message = "Listing should be limited to the prefix."
  }

  assert {
    condition     = output.service_account == { create = true, name = "s3sftp", irsaRoleArn = "arn:aws:iam::111122223333:role/s3sftp", podIdentity = false }
    error_message = "The chart should be told the name and the role."
  }

  assert {
    condition     = output.partner_role_arn == null
    error_message = "There should be no role for partners unless asked for."
  }
}

run "by_pod_identity_with_everything" {
  command = apply

  variables {
    tags          = { team = "files" }
    prefix        = "partners/"
    kms_key_arn   = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
    acl_of_files  = true
    tags_of_files = true

    mount_role_arns = ["arn:aws:iam::111122223333:role/sftp-partner-*"]
    pod_identity = {
      cluster_name    = "acme"
      namespace       = "files"
      service_account = "sftp"
    }
    partner_sessions = { trusted_arns = ["arn:aws:iam::111122223333:role/portal"], duration_seconds = 7200 }

    permissions_boundary_arn = "arn:aws:iam::111122223333:policy/boundary"
  }

  assert {
    condition = [for each in jsondecode(aws_iam_role_policy.mounts[0].policy).Statement : [each.Action, each.Resource]] == [
      [["sts:AssumeRole"], ["arn:aws:iam::111122223333:role/sftp-partner-*"]]
    ]
    error_message = "The server should assume roles of mounts, and no others."
  }

  assert {
    condition     = aws_iam_role.this.name == "s3sftp" && aws_iam_role.partner[0].name == "s3sftp-partner" && aws_iam_role.partner[0].max_session_duration == 7200
    error_message = "The roles should have their names, and sessions their time."
  }

  assert {
    condition     = alltrue([for role in [aws_iam_role.this, aws_iam_role.partner[0]] : role.permissions_boundary == var.permissions_boundary_arn])
    error_message = "Both roles should have the boundary."
  }

  assert {
    condition = alltrue([for each in concat(jsondecode(output.policy).Statement, jsondecode(aws_iam_role_policy.partner[0].policy).Statement) :
      each.Resource == var.kms_key_arn && contains(each.Condition.StringLike["kms:EncryptionContext:aws:s3:arn"], var.bucket_arn) if strcontains(each.Sid, "Encrypt")
    ])
    error_message = "The key should be used for this bucket alone."
  }

  assert {
    condition     = aws_eks_pod_identity_association.this[0].service_account == "sftp" && output.service_account.podIdentity && output.service_account.irsaRoleArn == ""
    error_message = "The association should be made, and the chart told of it."
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.StringEquals["aws:RequestTag/eks-cluster-name"] == "acme"
    error_message = "Pods of that cluster alone should be trusted."
  }

  assert {
    condition     = [for each in jsondecode(output.policy).Statement : each.Action if each.Sid == "EncryptAndDecryptFiles"][0] == ["kms:GenerateDataKey", "kms:Decrypt"]
    error_message = "The key should be used for encryption and decryption, and nothing else."
  }

  assert {
    condition = alltrue([for each in jsondecode(aws_iam_role_policy.partner[0].policy).Statement :
      each.Resource == "arn:aws:s3:::acme-exchange/partners/$${aws:PrincipalTag/partner}/*" || can(each.Condition)
    ])
    error_message = "A session should reach files of its partner alone."
  }

  assert {
    condition     = jsondecode(aws_iam_role.partner[0].assume_role_policy).Statement[0].Condition.StringLike["aws:RequestTag/partner"] == "?*"
    error_message = "There should be no session without a partner."
  }
}

run "refuses_roles_of_every_name" {
  command = plan

  variables {
    ecs_tasks       = true
    mount_role_arns = ["arn:aws:iam::111122223333:role/*"]
  }

  expect_failures = [var.mount_role_arns]
}

run "as_a_task_with_little" {
  command = apply

  variables {
    ecs_tasks     = true
    tags_of_files = false
    check_bucket  = false
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "111122223333"
    error_message = "Tasks of this account alone should be trusted."
  }

  assert {
    condition     = !can(jsondecode(output.policy).Statement[0].Condition)
    error_message = "Without a prefix listing should not be limited."
  }

  assert {
    condition     = length(jsondecode(output.policy).Statement) == 7 && output.service_account == null
    error_message = "Statements that are not needed should not be there."
  }
}

run "refuses_a_role_that_nobody_takes" {
  command         = plan
  expect_failures = [var.ecs_tasks]
}

run "refuses_two_ways_to_take_it" {
  command         = plan
  expect_failures = [var.ecs_tasks]

  variables {
    ecs_tasks    = true
    pod_identity = { cluster_name = "acme", namespace = "files", service_account = "sftp" }
  }
}

run "refuses_a_prefix_with_wildcards" {
  command         = plan
  expect_failures = [var.prefix]

  variables {
    ecs_tasks = true
    prefix    = "partners/*/"
  }
}

run "refuses_a_prefix_that_is_open" {
  command         = plan
  expect_failures = [var.prefix]

  variables {
    ecs_tasks = true
    prefix    = "partners"
  }
}

run "refuses_any_service_account" {
  command         = plan
  expect_failures = [var.irsa]

  variables {
    irsa = {
      oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123"
      namespace         = "files"
      service_account   = "*"
    }
  }
}

run "refuses_sessions_for_everybody" {
  command         = plan
  expect_failures = [var.partner_sessions]

  variables {
    ecs_tasks        = true
    partner_sessions = { trusted_arns = ["*"] }
  }
}

run "refuses_a_bad_name" {
  command         = plan
  expect_failures = [var.name]

  variables {
    name      = "s3sftp/acme"
    ecs_tasks = true
  }
}
