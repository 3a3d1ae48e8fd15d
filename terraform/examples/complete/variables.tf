variable "region" {
  description = "Region of the bucket and the cluster."
  type        = string
}

variable "replica_region" {
  description = "Region of the bucket with the copies."
  type        = string
}

variable "bucket" {
  description = "Name of the bucket to make; the one for logs ends in `-logs`, the one for copies in `-replica`."
  type        = string
}

variable "cluster_name" {
  description = "The EKS cluster, with the agent of Pod Identity and the AWS Load Balancer Controller."
  type        = string
}

variable "namespace" {
  description = "Namespace that the chart is installed in."
  type        = string
  default     = "s3sftp"
}

variable "vpc_id" {
  description = "VPC of the cluster."
  type        = string
}

variable "public_subnet_ids" {
  description = "Public subnets for the load balancer, one for each zone."
  type        = list(string)
}

variable "client_cidrs" {
  description = "Networks that partners connect from."
  type        = list(string)
}

variable "dns" {
  description = "The hosted zone, and the name that partners connect to."
  type = object({
    zone_id = string
    name    = string
  })
}
