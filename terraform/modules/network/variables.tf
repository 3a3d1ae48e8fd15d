variable "name" {
  description = "Name of the load balancer and of what belongs to it."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9]([A-Za-z0-9-]{0,26}[A-Za-z0-9])?$", var.name)) && !startswith(var.name, "internal-")
    error_message = "name should have 1 to 28 letters, digits and hyphens, no hyphen at its ends, and not begin with internal-."
  }
}

variable "load_balancer" {
  description = "Make the load balancer here, such as for ECS. `false`: the AWS Load Balancer Controller makes it from the Service of the chart, and this module only reserves addresses and names them."
  type        = bool
  default     = true
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets that the load balancer is in, one for each zone: public ones, unless `internal`."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "subnet_ids should name at least one subnet; two zones or more survive the loss of one."
  }
}

variable "internal" {
  description = "Reachable from inside the VPC and networks connected to it only."
  type        = bool
  default     = false
}

variable "static_addresses" {
  description = "Elastic IP addresses that stay, one for each subnet: partners name them in firewalls."
  type        = bool
  default     = true

  validation {
    condition     = !(var.static_addresses && var.internal)
    error_message = "static_addresses are public: set them to false with internal = true."
  }
}

variable "port" {
  description = "Port that clients connect to."
  type        = number
  default     = 22

  validation {
    condition     = var.port >= 1 && var.port <= 65535 && floor(var.port) == var.port
    error_message = "port should be 1 to 65535."
  }
}

variable "server_port" {
  description = "Port that s3sftp listens on: `listen.port`."
  type        = number
  default     = 2022

  validation {
    condition     = var.server_port >= 1 && var.server_port <= 65535 && floor(var.server_port) == var.server_port
    error_message = "server_port should be 1 to 65535."
  }
}

variable "health_port" {
  description = "Port of health and metrics: `admin.port`. Without `proxy_protocol` the load balancer asks `/readyz` there; with it, whether the SFTP port accepts connections."
  type        = number
  default     = 9090

  validation {
    condition     = var.health_port >= 1 && var.health_port <= 65535 && var.health_port != var.server_port
    error_message = "health_port should be 1 to 65535, and not server_port."
  }
}

variable "dual_stack" {
  description = "Let clients connect over IPv6 too. The subnets need IPv6 networks. The servers are still reached over IPv4, so the addresses of clients come by the PROXY header alone. With `load_balancer` and `dns` there is an AAAA record; without `load_balancer` make it yourself when the chart is installed."
  type        = bool
  default     = false

  validation {
    condition     = !var.dual_stack || var.proxy_protocol
    error_message = "dual_stack needs proxy_protocol: a load balancer cannot keep a client's IPv6 address towards servers with IPv4."
  }
}

variable "client_cidrs" {
  description = "Networks that clients may connect from; those of IPv6 need `dual_stack`."
  type        = list(string)

  validation {
    condition     = length(var.client_cidrs) > 0 && alltrue([for each in var.client_cidrs : can(cidrhost(each, 0))])
    error_message = "client_cidrs should name at least one network like 203.0.113.0/24; 0.0.0.0/0 lets in everybody."
  }
}

variable "proxy_protocol" {
  description = "Tell the server the address of each client in a PROXY header, version 2. Without it the load balancer keeps the address of the client as the packets' source, which works for targets in the VPC."
  type        = bool
  default     = true
}

variable "target_type" {
  description = "`ip`: the addresses of tasks or pods. `instance`: machines."
  type        = string
  default     = "ip"

  validation {
    condition     = contains(["ip", "instance"], var.target_type)
    error_message = "target_type should be ip or instance."
  }
}

variable "drain_seconds" {
  description = "How long a server that is taken out keeps its connections. Longer than `server.drain_timeout`."
  type        = number
  default     = 120

  validation {
    condition     = var.drain_seconds >= 0 && var.drain_seconds <= 3600
    error_message = "drain_seconds should be 0 to 3600."
  }
}

variable "deletion_protection" {
  description = "Refuse to remove the load balancer: clients know its addresses."
  type        = bool
  default     = true
}

variable "dns" {
  description = "A name in Route 53 for the load balancer: `zone_id` of the hosted zone and `name`, such as `sftp.example.com`."
  type = object({
    zone_id = string
    name    = string
  })
  default = null

  validation {
    condition     = var.dns == null || var.load_balancer || var.static_addresses
    error_message = "dns needs load_balancer or static_addresses: the load balancer of the controller has no address before the chart is installed."
  }
}

variable "tags" {
  description = "Tags for all that this module makes."
  type        = map(string)
  default     = {}
}
