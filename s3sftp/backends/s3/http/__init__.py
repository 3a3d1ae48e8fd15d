"""HTTP to the store: fast_client ─ serializer, signing, connection_pool ─ connection ─ response_body."""
