"""The composition root: options of every group, the storage they name, the server, its health and its users."""
