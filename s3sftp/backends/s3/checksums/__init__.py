"""Checksums: `digest` computes them, `fallback` sends MD5 instead, `stored` reads those of objects."""
