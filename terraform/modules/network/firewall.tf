# Who may connect: clients to the load balancer, the load balancer to the servers, nobody else.

resource "aws_security_group" "load_balancer" {
  #checkov:skip=CKV2_AWS_5:the load balancer has it
  count       = var.load_balancer ? 1 : 0
  name        = "${var.name}-lb"
  description = "SFTP clients to the load balancer ${var.name}"
  vpc_id      = var.vpc_id
  tags        = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each          = var.load_balancer ? toset(var.client_cidrs) : []
  security_group_id = aws_security_group.load_balancer[0].id
  description       = "SFTP clients"
  ip_protocol       = "tcp"
  from_port         = var.port
  to_port           = var.port
  cidr_ipv4         = strcontains(each.value, ":") ? null : each.value
  cidr_ipv6         = strcontains(each.value, ":") ? each.value : null
  tags              = var.tags
}

resource "aws_security_group" "server" {
  #checkov:skip=CKV2_AWS_5:for the tasks or machines that run the server
  count       = var.load_balancer ? 1 : 0
  name        = "${var.name}-server"
  description = "The load balancer ${var.name} to s3sftp"
  vpc_id      = var.vpc_id
  tags        = var.tags
}

locals {
  server_ports = var.load_balancer ? merge(
    { sftp = var.server_port },
    var.proxy_protocol ? {} : { health = var.health_port },
  ) : {}
}

resource "aws_vpc_security_group_egress_rule" "to_server" {
  for_each                     = local.server_ports
  security_group_id            = aws_security_group.load_balancer[0].id
  referenced_security_group_id = aws_security_group.server[0].id
  description                  = "To the servers: ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
  tags                         = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "from_load_balancer" {
  for_each                     = local.server_ports
  security_group_id            = aws_security_group.server[0].id
  referenced_security_group_id = aws_security_group.load_balancer[0].id
  description                  = "From the load balancer: ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "to_aws" {
  count             = var.load_balancer ? 1 : 0
  security_group_id = aws_security_group.server[0].id
  description       = "To the APIs of AWS, and the registry of the image"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
  tags              = var.tags
}
