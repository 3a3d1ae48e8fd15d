mock_provider "aws" {
  source = "../../mocks"
}

mock_provider "aws" {
  alias  = "replica"
  source = "../../mocks"
}

run "helm_values" {
  command = apply

  variables {
    region            = "eu-central-1"
    replica_region    = "eu-west-1"
    bucket            = "acme-exchange"
    cluster_name      = "acme"
    vpc_id            = "vpc-0123456789abcdef0"
    public_subnet_ids = ["subnet-0000000000000000a", "subnet-0000000000000000b"]
    client_cidrs      = ["203.0.113.0/24"]
    dns               = { zone_id = "Z0123456789ABCDEFGHIJ", name = "sftp.example.com" }
  }

  assert {
    condition     = output.helm_values.config.s3.prefix == "partners/" && output.helm_values.config.listen.proxy_protocol == "required"
    error_message = "The chart should be told of the prefix and of the PROXY headers."
  }

  assert {
    condition     = output.helm_values.service.hostname == "sftp.example.com" && output.helm_values.serviceAccount.podIdentity
    error_message = "The chart should be told of the name and of Pod Identity."
  }
}
