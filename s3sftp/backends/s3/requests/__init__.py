"""Adapts requests to the store: listings (version 2 or 1), tags, and lookups without ListBucket."""
