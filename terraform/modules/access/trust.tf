# Who may take the role: one kind of workload, and of it one ServiceAccount.

data "aws_caller_identity" "this" {}

locals {
  issuer = var.irsa == null ? "" : regex("oidc-provider/(.+)$", var.irsa.oidc_provider_arn)[0]

  trust = concat(
    [for irsa in var.irsa == null ? [] : [var.irsa] : {
      Sid       = "PodsByServiceAccountToken"
      Effect    = "Allow"
      Principal = { Federated = irsa.oidc_provider_arn }
      Action    = ["sts:AssumeRoleWithWebIdentity"]
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = "system:serviceaccount:${irsa.namespace}:${irsa.service_account}"
        }
      }
    }],
    [for pods in var.pod_identity == null ? [] : [var.pod_identity] : {
      Sid       = "PodsByPodIdentity"
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:SourceAccount"                         = data.aws_caller_identity.this.account_id
          "aws:RequestTag/eks-cluster-name"           = pods.cluster_name
          "aws:RequestTag/kubernetes-namespace"       = pods.namespace
          "aws:RequestTag/kubernetes-service-account" = pods.service_account
        }
      }
    }],
    [for account in var.ecs_tasks ? [data.aws_caller_identity.this.account_id] : [] : {
      Sid       = "TasksOfThisAccount"
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = ["sts:AssumeRole"]
      Condition = { StringEquals = { "aws:SourceAccount" = account } }
    }],
  )
}

resource "aws_eks_pod_identity_association" "this" {
  count           = var.pod_identity == null ? 0 : 1
  cluster_name    = var.pod_identity.cluster_name
  namespace       = var.pod_identity.namespace
  service_account = var.pod_identity.service_account
  role_arn        = aws_iam_role.this.arn
  tags            = var.tags
}
