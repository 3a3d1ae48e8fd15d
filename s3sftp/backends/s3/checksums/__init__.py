"""Checksums: computed, sent with a fallback to MD5, and read back from the store."""
