"""What a server takes: processor time and memory of its processes."""
