# The server as an appliance, without Kubernetes: tasks on Fargate behind a network load balancer.

module "bucket" {
  source = "../../modules/bucket"
  name   = var.bucket
}

module "access" {
  source     = "../../modules/access"
  name       = "s3sftp"
  bucket_arn = module.bucket.arn
  ecs_tasks  = true
}

module "network" {
  source       = "../../modules/network"
  name         = "s3sftp"
  vpc_id       = var.vpc_id
  subnet_ids   = var.public_subnet_ids
  client_cidrs = var.client_cidrs
}

resource "aws_ecs_cluster" "this" {
  name = "s3sftp"

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_service" "this" {
  name             = "s3sftp"
  cluster          = aws_ecs_cluster.this.id
  task_definition  = aws_ecs_task_definition.this.arn
  launch_type      = "FARGATE"
  platform_version = "LATEST"
  desired_count    = var.tasks

  # new tasks are healthy before old ones are told to stop
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  # a task that starts is not yet healthy to the load balancer, and not to be replaced for that
  health_check_grace_period_seconds = 60

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.private_subnet_ids
    security_groups  = [module.network.server_security_group_id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = module.network.target_group_arn
    container_name   = "s3sftp"
    container_port   = 2022
  }
}
