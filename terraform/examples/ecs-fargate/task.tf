# What runs: first a container that writes the secrets into files on a volume, then the server, which reads them.

locals {
  environment = {
    S3SFTP_S3__BUCKET             = module.bucket.s3_options.bucket
    S3SFTP_S3__REGION             = module.bucket.s3_options.region
    S3SFTP_S3__JOURNAL            = "bucket"
    S3SFTP_LISTEN__PORT           = tostring(module.network.listen_options.port)
    S3SFTP_LISTEN__PROXY_PROTOCOL = module.network.listen_options.proxy_protocol
    S3SFTP_LISTEN__PROXY_SOURCES  = join(",", module.network.listen_options.proxy_sources)
    S3SFTP_ADMIN__HOST            = "127.0.0.1"
    S3SFTP_ADMIN__PORT            = "9090"
    S3SFTP_SSH__HOST_KEYS         = "/etc/s3sftp/host-keys/ssh_host_ed25519_key"
    S3SFTP_AUTH__USERS_DIR        = "/etc/s3sftp/users"
    S3SFTP_SERVER__STATE_DIR      = "/tmp/s3sftp"
    # with sftp.close_timeout (1 min) less than stopTimeout
    S3SFTP_SERVER__DRAIN_TIMEOUT = "45 s"
  }

  # Fargate hands out secrets as environment variables, and mounts volumes as root's. The image looks for
  # s3sftp.toml, which may be empty: all options are in the environment.
  prepare = <<-PYTHON
    import os, pathlib
    os.chmod("/tmp", 0o1777)
    pathlib.Path("/etc/s3sftp/s3sftp.toml").touch()
    for name, file in (("HOST_KEY", "host-keys/ssh_host_ed25519_key"), ("USERS", "users/users.toml")):
        path = pathlib.Path("/etc/s3sftp", file)
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.write_text(os.environ[name].rstrip("\n") + "\n")
        path.chmod(0o400)
        os.chown(path, 10001, 10001)
  PYTHON

  logs = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = aws_cloudwatch_log_group.this.name
      awslogs-region        = var.region
      awslogs-stream-prefix = "s3sftp"
    }
  }
}

resource "aws_ecs_task_definition" "this" {
  family                   = "s3sftp"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.size.cpu
  memory                   = var.size.memory
  task_role_arn            = module.access.role_arn
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  volume {
    name = "secrets"
  }

  volume {
    name = "tmp"
  }

  container_definitions = jsonencode([
    {
      name                   = "prepare"
      image                  = var.image
      essential              = false
      user                   = "0"
      readonlyRootFilesystem = true
      entryPoint             = ["python3", "-c", local.prepare]
      command                = []
      secrets = [
        { name = "HOST_KEY", valueFrom = var.host_key_secret_arn },
        { name = "USERS", valueFrom = var.users_secret_arn },
      ]
      mountPoints = [
        { sourceVolume = "secrets", containerPath = "/etc/s3sftp" },
        { sourceVolume = "tmp", containerPath = "/tmp" },
      ]
      logConfiguration = local.logs
    },
    {
      name                   = "s3sftp"
      image                  = var.image
      essential              = true
      user                   = "10001:10001"
      readonlyRootFilesystem = true
      dependsOn              = [{ containerName = "prepare", condition = "SUCCESS" }]
      portMappings           = [{ containerPort = 2022, protocol = "tcp" }]
      environment            = [for name, value in local.environment : { name = name, value = value }]
      mountPoints = [
        { sourceVolume = "secrets", containerPath = "/etc/s3sftp", readOnly = true },
        { sourceVolume = "tmp", containerPath = "/tmp" },
      ]
      linuxParameters = { capabilities = { drop = ["ALL"] } }
      ulimits         = [{ name = "nofile", softLimit = 65535, hardLimit = 65535 }]
      # ECS replaces a task that is not well. So it asks whether the server lives: a new task mends no outage of S3.
      # Nor does an outage take a task out of the load balancer, whose check is a TCP connection to port 2022: clients
      # log in and get errors until S3 is back. Alert on failed transfers in the log.
      healthCheck = {
        command     = ["CMD", "s3sftp", "health", "--live"]
        interval    = 10
        timeout     = 5
        retries     = 3
        startPeriod = 30
      }
      stopTimeout      = 120 # the most that Fargate gives
      logConfiguration = local.logs
    },
  ])
}
