"""Reading objects: the GET of its first bytes opens a file; ranged GETs survive broken connections."""
