"""Reads objects: a GET of the first bytes opens a file, and ranged GETs continue after broken connections."""
