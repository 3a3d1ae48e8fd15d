"""Makes a page, its tables and its plots from a file of results."""
