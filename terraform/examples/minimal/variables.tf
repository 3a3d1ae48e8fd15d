variable "region" {
  description = "Region of the bucket."
  type        = string
}

variable "bucket" {
  description = "Name of the bucket to make."
  type        = string
}

variable "prefix" {
  description = "Prefix of the server's files in the bucket, with a slash at its end: the role reaches nothing outside it."
  type        = string
  default     = "partners/"
}

variable "oidc_provider_arn" {
  description = "The OIDC provider in IAM of the EKS cluster."
  type        = string
}

variable "namespace" {
  description = "Namespace that the chart is installed in."
  type        = string
  default     = "s3sftp"
}
