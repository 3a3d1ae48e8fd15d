mock_provider "aws" {
  source = "../../mocks"
}

variables {
  region            = "eu-central-1"
  bucket            = "acme-exchange"
  oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123"
}

run "helm_values" {
  command = apply

  variables {
    tenants = {
      acme   = { trusted_arns = ["arn:aws:iam::111122223333:role/portal"] }
      globex = {}
    }
  }

  assert {
    condition     = output.helm_values["acme"].config.s3.prefix == "acme/" && output.helm_values["globex"].config.s3.prefix == "globex/"
    error_message = "Each tenant should have a prefix of its own."
  }

  assert {
    condition     = strcontains(module.access["acme"].policy, "/acme/*") && !strcontains(module.access["acme"].policy, "globex")
    error_message = "The role of a tenant should reach nothing of another."
  }

  assert {
    condition     = keys(output.partner_roles) == ["acme"]
    error_message = "Only tenants with trusted roles should have a role for partners."
  }
}

run "refuses_a_tenant_that_is_a_path" {
  command         = plan
  expect_failures = [var.tenants]

  variables {
    tenants = { "acme/inbox" = {} }
  }
}
