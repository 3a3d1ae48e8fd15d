variable "region" {
  description = "Region of everything."
  type        = string
}

variable "bucket" {
  description = "Name of the bucket to make."
  type        = string
}

variable "image" {
  description = "The image of s3sftp, with a tag or digest."
  type        = string

  validation {
    condition     = can(regex("[:@][^/]+$", var.image)) && !endswith(var.image, ":latest")
    error_message = "image should say which version: by a tag other than latest, or by a digest."
  }
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer, one for each zone."
  type        = list(string)
}

variable "private_subnet_ids" {
  description = "Subnets of the tasks, with a way to S3, Secrets Manager, CloudWatch and the registry: a NAT gateway or endpoints."
  type        = list(string)
}

variable "client_cidrs" {
  description = "Networks that partners connect from."
  type        = list(string)
}

variable "host_key_secret_arn" {
  description = "A secret of Secrets Manager: an Ed25519 host key as `ssh-keygen` writes it. Made outside, so that Terraform's state has no private key."
  type        = string
}

variable "users_secret_arn" {
  description = "A secret of Secrets Manager: a TOML file with the tables `[users.NAME]`. A change is there after a new deployment of the service."
  type        = string
}

variable "tasks" {
  description = "How many tasks run."
  type        = number
  default     = 2

  validation {
    condition     = var.tasks >= 1
    error_message = "tasks should be 1 or more; 2 survive the loss of a zone."
  }
}

variable "size" {
  description = "CPU units and MiB of memory of a task, in one of the pairs that Fargate has."
  type = object({
    cpu    = number
    memory = number
  })
  default = { cpu = 1024, memory = 2048 }

  validation {
    condition = contains(
      lookup({ 512 = [1024, 2048, 3072, 4096], 1024 = range(2048, 8193, 1024), 2048 = range(4096, 16385, 1024), 4096 = range(8192, 30721, 1024) }, var.size.cpu, []),
      var.size.memory,
    )
    error_message = "size should be a pair that Fargate has, of at least 512 CPU units: such as cpu = 1024 with memory = 2048 to 8192."
  }
}
