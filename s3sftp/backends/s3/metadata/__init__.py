"""What a name is and what its object's metadata says: lookup, cache, version_cache, objects."""
