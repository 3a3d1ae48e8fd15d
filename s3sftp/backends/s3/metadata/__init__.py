"""Finds out what a name is and what the metadata of its object contains.

`lookup` asks the store. `cache` holds for a moment what a session has listed or changed; `version_cache`
keeps the metadata of versions, which never changes. `objects` reads and writes metadata.
"""
