"""Computes checksums (`digest`), falls back to MD5 (`fallback`) and reads objects' checksums (`stored`)."""
