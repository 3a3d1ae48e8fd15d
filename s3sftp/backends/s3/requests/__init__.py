"""Requests whose form depends on the store: listings (version 2 or 1), tags, lookups without ListBucket."""
