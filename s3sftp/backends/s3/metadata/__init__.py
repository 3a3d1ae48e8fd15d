"""What a name is, and what the metadata of its object says.

`lookup` asks the store. `cache` holds for a moment what a session has listed or changed, `version_cache`
for ever what the metadata of a version was. `objects` reads and writes metadata.
"""
