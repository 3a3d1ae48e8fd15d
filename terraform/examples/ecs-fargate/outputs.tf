output "address" {
  description = "Where clients connect, on port 22."
  value       = module.network.address
}

output "static_addresses" {
  description = "For the firewalls of partners."
  value       = module.network.static_addresses
}
