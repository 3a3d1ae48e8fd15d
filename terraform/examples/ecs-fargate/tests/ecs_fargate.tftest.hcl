mock_provider "aws" {
  source = "../../mocks"
}

variables {
  region              = "eu-central-1"
  bucket              = "acme-exchange"
  image               = "registry.example.com/s3sftp:0.1.0"
  vpc_id              = "vpc-0123456789abcdef0"
  public_subnet_ids   = ["subnet-0000000000000000a", "subnet-0000000000000000b"]
  private_subnet_ids  = ["subnet-0000000000000000c", "subnet-0000000000000000d"]
  client_cidrs        = ["203.0.113.0/24"]
  host_key_secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:host-key-AbCdEf"
  users_secret_arn    = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:users-AbCdEf"
}

run "the_task" {
  command = apply

  assert {
    condition     = alltrue([for each in jsondecode(aws_ecs_task_definition.this.container_definitions) : each.readonlyRootFilesystem])
    error_message = "Root file systems should be read-only."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[1].healthCheck.command == ["CMD", "s3sftp", "health", "--live"]
    error_message = "ECS should ask whether the server lives: it replaces what is not well, which mends no outage of S3."
  }

  assert {
    condition     = aws_ecs_service.this.health_check_grace_period_seconds >= 60
    error_message = "ECS should not replace a task that the load balancer has not seen ready yet."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[1].user == "10001:10001"
    error_message = "The server should not run as root."
  }

  assert {
    condition     = !strcontains(aws_ecs_task_definition.this.container_definitions, "PRIVATE KEY")
    error_message = "No secret should be in the task definition."
  }

  assert {
    condition     = one(aws_ecs_service.this.load_balancer).container_port == 2022 && !aws_ecs_service.this.network_configuration[0].assign_public_ip
    error_message = "Tasks should be reached by the load balancer alone."
  }
}

run "refuses_a_size_that_fargate_lacks" {
  command         = plan
  expect_failures = [var.size]

  variables {
    size = { cpu = 1024, memory = 1024 }
  }
}

run "refuses_an_image_without_a_version" {
  command         = plan
  expect_failures = [var.image]

  variables {
    image = "registry.example.com/s3sftp:latest"
  }
}
