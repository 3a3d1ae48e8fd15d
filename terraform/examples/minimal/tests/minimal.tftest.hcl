mock_provider "aws" {
  source = "../../mocks"
}

run "helm_values" {
  command = apply

  variables {
    region            = "eu-central-1"
    bucket            = "acme-exchange"
    oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123"
  }

  assert {
    condition     = output.helm_values.config.s3.bucket == "acme-exchange" && output.helm_values.serviceAccount.name == "s3sftp"
    error_message = "The chart should be told of the bucket and the ServiceAccount."
  }

  assert {
    condition     = output.helm_values.config.s3.prefix == "partners/" && strcontains(module.access.policy, "acme-exchange/partners/*")
    error_message = "The server and its role should have the same prefix."
  }
}
