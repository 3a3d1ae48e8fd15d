"""Reading objects: opening by GET of the first bytes, ranged GETs that survive broken connections."""
