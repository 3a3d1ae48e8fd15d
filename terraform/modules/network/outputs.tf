output "address" {
  description = "What clients connect to: the name in DNS, else that of the load balancer; null when neither is known before the chart is installed."
  value       = var.dns != null ? var.dns.name : one(aws_lb.this[*].dns_name)
}

output "static_addresses" {
  description = "The addresses that stay, for firewalls of partners."
  value       = aws_eip.this[*].public_ip
}

output "target_group_arn" {
  description = "Where the servers register; null without `load_balancer`."
  value       = one(aws_lb_target_group.this[*].arn)
}

output "server_security_group_id" {
  description = "Security group for the servers; null without `load_balancer`."
  value       = one(aws_security_group.server[*].id)
}

output "listen_options" {
  description = "The options of s3sftp's group `[listen]` that believe the load balancer: `config.listen` of the chart."
  value = {
    port           = var.server_port
    proxy_protocol = var.proxy_protocol ? "required" : "off"
    proxy_sources  = var.proxy_protocol ? data.aws_subnet.these[*].cidr_block : []
  }
}

output "service" {
  description = "`service` of the chart, with which the AWS Load Balancer Controller makes the load balancer. Null with `load_balancer`, which is that already."
  value = var.load_balancer ? null : {
    type                     = "LoadBalancer"
    port                     = var.port
    hostname                 = var.dns == null ? "" : var.dns.name
    loadBalancerSourceRanges = var.client_cidrs
    annotations              = var.dual_stack ? { "service.beta.kubernetes.io/aws-load-balancer-ip-address-type" = "dualstack" } : {}
    aws = {
      enabled        = true
      scheme         = var.internal ? "internal" : "internet-facing"
      targetType     = var.target_type
      subnets        = var.subnet_ids
      eipAllocations = aws_eip.this[*].allocation_id
      crossZone      = true
    }
  }
}
