"""Rules for files that are expected at a time, and what becomes of them."""
