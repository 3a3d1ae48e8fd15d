# How clients reach the server: a network load balancer that tells it their addresses, and a name.

data "aws_subnet" "these" {
  count = length(var.subnet_ids)
  id    = var.subnet_ids[count.index]
}

locals {
  addresses = var.static_addresses ? length(var.subnet_ids) : 0
}

resource "aws_eip" "this" {
  #checkov:skip=CKV2_AWS_19:the load balancer has them, not a machine
  count  = local.addresses
  domain = "vpc"
  tags   = merge(var.tags, { Name = "${var.name}-${count.index}" })
}

resource "aws_lb" "this" {
  #checkov:skip=CKV_AWS_91:a network load balancer logs TLS listeners only; s3sftp logs each connection
  #checkov:skip=CKV2_AWS_28:AWS WAF reads HTTP, and this is SSH
  count                            = var.load_balancer ? 1 : 0
  name                             = var.name
  load_balancer_type               = "network"
  internal                         = var.internal
  ip_address_type                  = var.dual_stack ? "dualstack" : "ipv4"
  security_groups                  = [aws_security_group.load_balancer[0].id]
  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = var.deletion_protection
  tags                             = var.tags

  dynamic "subnet_mapping" {
    for_each = var.subnet_ids

    content {
      subnet_id     = subnet_mapping.value
      allocation_id = var.static_addresses ? aws_eip.this[subnet_mapping.key].id : null
    }
  }
}

resource "aws_lb_target_group" "this" {
  #checkov:skip=CKV_AWS_378:TCP: what it carries is SSH, encrypted from client to server
  count                  = var.load_balancer ? 1 : 0
  name                   = var.name
  vpc_id                 = var.vpc_id
  port                   = var.server_port
  protocol               = "TCP"
  target_type            = var.target_type
  proxy_protocol_v2      = var.proxy_protocol
  deregistration_delay   = var.drain_seconds
  connection_termination = true
  tags                   = var.tags

  # with the PROXY header packets come from the load balancer's own addresses: those that the server believes
  preserve_client_ip = !var.proxy_protocol

  # health checks have a PROXY header too, which the SFTP port understands and the HTTP of /readyz does not
  health_check {
    protocol            = var.proxy_protocol ? "TCP" : "HTTP"
    path                = var.proxy_protocol ? null : "/readyz"
    matcher             = var.proxy_protocol ? null : "200"
    port                = var.proxy_protocol ? "traffic-port" : tostring(var.health_port)
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "this" {
  #checkov:skip=CKV_AWS_2:SSH is not HTTP
  #checkov:skip=CKV_AWS_103:SSH encrypts by itself
  count             = var.load_balancer ? 1 : 0
  load_balancer_arn = aws_lb.this[0].arn
  port              = var.port
  protocol          = "TCP"
  tags              = var.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[0].arn
  }
}

resource "aws_route53_record" "alias" {
  count   = var.dns != null && var.load_balancer ? 1 : 0
  zone_id = var.dns.zone_id
  name    = var.dns.name
  type    = "A"

  alias {
    name                   = aws_lb.this[0].dns_name
    zone_id                = aws_lb.this[0].zone_id
    evaluate_target_health = true
  }
}

resource "aws_route53_record" "alias_ipv6" {
  count   = var.dns != null && var.load_balancer && var.dual_stack ? 1 : 0
  zone_id = var.dns.zone_id
  name    = var.dns.name
  type    = "AAAA"

  alias {
    name                   = aws_lb.this[0].dns_name
    zone_id                = aws_lb.this[0].zone_id
    evaluate_target_health = true
  }
}

resource "aws_route53_record" "addresses" {
  count   = var.dns != null && !var.load_balancer ? 1 : 0
  zone_id = var.dns.zone_id
  name    = var.dns.name
  type    = "A"
  ttl     = 300
  records = aws_eip.this[*].public_ip
}
