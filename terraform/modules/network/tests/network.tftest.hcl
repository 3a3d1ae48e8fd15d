mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name         = "s3sftp"
  vpc_id       = "vpc-0123456789abcdef0"
  subnet_ids   = ["subnet-0000000000000000a", "subnet-0000000000000000b"]
  client_cidrs = ["203.0.113.0/24", "2001:db8::/32"]
}

run "a_load_balancer" {
  command = apply

  variables {
    dns        = { zone_id = "Z0123456789ABCDEFGHIJ", name = "sftp.example.com" }
    dual_stack = true
    tags       = { team = "files" }
  }

  assert {
    condition     = aws_lb.this[0].name == "s3sftp" && aws_lb_target_group.this[0].name == "s3sftp" && aws_lb.this[0].enable_cross_zone_load_balancing
    error_message = "It should have the name that was asked for, and its zones share the load."
  }

  assert {
    condition = alltrue([
      aws_lb_target_group.this[0].vpc_id == var.vpc_id,
      aws_lb_target_group.this[0].port == 2022,
      aws_lb_target_group.this[0].protocol == "TCP",
      aws_lb_target_group.this[0].target_type == "ip",
      aws_lb_target_group.this[0].deregistration_delay == "120",
      aws_lb_target_group.this[0].connection_termination,
    ])
    error_message = "Connections should go to the server's port, and end some time after it is taken out."
  }

  assert {
    condition = alltrue([
      aws_lb_target_group.this[0].health_check[0].interval == 10,
      aws_lb_target_group.this[0].health_check[0].timeout == 5,
      aws_lb_target_group.this[0].health_check[0].healthy_threshold == 2,
      aws_lb_target_group.this[0].health_check[0].unhealthy_threshold == 2,
    ])
    error_message = "A server that is not there should get no connections after 20 seconds."
  }

  assert {
    condition     = alltrue([for each in concat(aws_security_group.load_balancer, aws_security_group.server) : each.vpc_id == var.vpc_id])
    error_message = "Security groups should be in the VPC."
  }

  assert {
    condition     = alltrue([for each in aws_vpc_security_group_ingress_rule.clients : each.from_port == 22 && each.to_port == 22])
    error_message = "Clients should reach port 22 alone."
  }

  assert {
    condition = alltrue([for each in [aws_vpc_security_group_egress_rule.to_server["sftp"], aws_vpc_security_group_ingress_rule.from_load_balancer["sftp"]] :
      each.from_port == 2022 && each.to_port == 2022
    ])
    error_message = "The load balancer should reach port 2022 alone."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.to_aws[0].from_port == 443 && aws_vpc_security_group_egress_rule.to_aws[0].to_port == 443
    error_message = "The server should reach HTTPS alone."
  }

  assert {
    condition     = aws_route53_record.alias[0].alias[0].evaluate_target_health
    error_message = "A name should not lead to zones without a server."
  }

  assert {
    condition     = aws_lb.this[0].load_balancer_type == "network" && !aws_lb.this[0].internal && aws_lb.this[0].enable_deletion_protection
    error_message = "It should be a public network load balancer that is not removed by mistake."
  }

  assert {
    condition     = aws_lb_listener.this[0].port == 22 && aws_lb_listener.this[0].protocol == "TCP"
    error_message = "Clients should connect to port 22."
  }

  assert {
    condition     = aws_lb_target_group.this[0].proxy_protocol_v2 && aws_lb_target_group.this[0].preserve_client_ip == "false"
    error_message = "The server should be told of clients' addresses by PROXY headers from the load balancer."
  }

  assert {
    condition     = aws_lb_target_group.this[0].health_check[0].protocol == "TCP" && aws_lb_target_group.this[0].health_check[0].port == "traffic-port"
    error_message = "Health checks have PROXY headers too: they should go to the port that understands them."
  }

  assert {
    condition     = output.listen_options == { port = 2022, proxy_protocol = "required", proxy_sources = tolist(["10.0.0.0/24", "10.0.0.0/24"]) }
    error_message = "The server should believe the subnets of the load balancer."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.clients["2001:db8::/32"].cidr_ipv6 == "2001:db8::/32"
    error_message = "Networks of IPv6 should be let in as such."
  }

  assert {
    condition     = aws_lb.this[0].ip_address_type == "dualstack" && aws_route53_record.alias_ipv6[0].type == "AAAA" && aws_route53_record.alias_ipv6[0].name == "sftp.example.com"
    error_message = "Clients should reach the load balancer over IPv6 too, under the same name."
  }

  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.from_load_balancer)) == toset(["sftp"])
    error_message = "The server should be reached on its SFTP port alone."
  }

  assert {
    condition     = output.address == "sftp.example.com" && aws_route53_record.alias[0].alias[0].name == aws_lb.this[0].dns_name && output.service == null
    error_message = "The name should lead to the load balancer."
  }
}

run "over_ipv4_alone" {
  command = apply

  variables {
    dns = { zone_id = "Z0123456789ABCDEFGHIJ", name = "sftp.example.com" }
  }

  assert {
    condition     = aws_lb.this[0].ip_address_type == "ipv4" && length(aws_route53_record.alias_ipv6) == 0
    error_message = "Without dual_stack there should be no IPv6."
  }
}

run "without_proxy_headers" {
  command = apply

  variables {
    proxy_protocol   = false
    internal         = true
    static_addresses = false
  }

  assert {
    condition     = aws_lb_target_group.this[0].health_check[0].path == "/readyz" && aws_lb_target_group.this[0].health_check[0].port == "9090"
    error_message = "Health checks should ask whether the server is ready."
  }

  assert {
    condition     = aws_lb.this[0].internal && aws_lb_target_group.this[0].preserve_client_ip == "true" && aws_lb_target_group.this[0].health_check[0].matcher == "200"
    error_message = "It should be inside the VPC, and keep the addresses of clients."
  }

  assert {
    condition     = contains(keys(aws_vpc_security_group_ingress_rule.from_load_balancer), "health")
    error_message = "Health checks should be let in."
  }

  assert {
    condition     = output.listen_options.proxy_protocol == "off" && length(output.listen_options.proxy_sources) == 0
    error_message = "The server should believe nobody."
  }

  assert {
    condition     = length(output.static_addresses) == 0 && output.address == aws_lb.this[0].dns_name
    error_message = "There should be no public addresses."
  }
}

run "for_the_controller" {
  command = apply

  variables {
    load_balancer = false
    dual_stack    = true
    dns           = { zone_id = "Z0123456789ABCDEFGHIJ", name = "sftp.example.com" }
  }

  assert {
    condition     = length(aws_lb.this) + length(aws_lb_target_group.this) + length(aws_security_group.server) == 0
    error_message = "The controller should make the load balancer."
  }

  assert {
    condition     = length(output.service.aws.eipAllocations) == 2 && output.service.aws.scheme == "internet-facing" && output.service.loadBalancerSourceRanges == var.client_cidrs
    error_message = "The chart should be told of addresses and clients."
  }

  assert {
    condition     = output.service.annotations["service.beta.kubernetes.io/aws-load-balancer-ip-address-type"] == "dualstack"
    error_message = "The controller should be asked for IPv6."
  }

  assert {
    condition     = aws_route53_record.addresses[0].records == toset(["203.0.113.10"]) && aws_route53_record.addresses[0].ttl == 300
    error_message = "The name should lead to the addresses."
  }
}

run "refuses_public_addresses_inside" {
  command         = plan
  expect_failures = [var.static_addresses]

  variables {
    internal = true
  }
}

run "refuses_ipv6_whose_addresses_get_lost" {
  command         = plan
  expect_failures = [var.dual_stack]

  variables {
    dual_stack     = true
    proxy_protocol = false
  }
}

run "refuses_ports_that_are_none" {
  command         = plan
  expect_failures = [var.port, var.server_port]

  variables {
    port        = 0
    server_port = 70000
  }
}

run "refuses_one_port_for_two_things" {
  command         = plan
  expect_failures = [var.health_port]

  variables {
    health_port = 2022
  }
}

run "refuses_networks_that_are_none" {
  command         = plan
  expect_failures = [var.client_cidrs]

  variables {
    client_cidrs = ["203.0.113.5"]
  }
}

run "refuses_a_name_without_an_address" {
  command         = plan
  expect_failures = [var.dns]

  variables {
    load_balancer    = false
    internal         = true
    static_addresses = false
    dns              = { zone_id = "Z0123456789ABCDEFGHIJ", name = "sftp.example.com" }
  }
}

run "refuses_a_name_that_is_too_long" {
  command         = plan
  expect_failures = [var.name]

  variables {
    name = "the-load-balancer-of-the-whole-company"
  }
}

run "refuses_what_the_load_balancer_does_not_have" {
  command         = plan
  expect_failures = [var.target_type, var.drain_seconds]

  variables {
    target_type   = "lambda"
    drain_seconds = 4000
  }
}

run "refuses_no_subnet" {
  command         = plan
  expect_failures = [var.subnet_ids]

  variables {
    subnet_ids = []
  }
}
