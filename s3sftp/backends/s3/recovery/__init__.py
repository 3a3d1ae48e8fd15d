"""Unfinished uploads.

The journal names each, on disk (`disk_journal`) or in the bucket (`bucket_journal`). The janitor aborts
those whose server is gone (`liveness`) and those whose id no server knows (`lost_upload_ids`).
"""
