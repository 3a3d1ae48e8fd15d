"""Computes and verifies checksums: `digest` computes them, `fallback` replaces them by MD5 where the store
refuses them, `stored` reads those of objects."""
