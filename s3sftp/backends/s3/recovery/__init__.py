"""Finds and aborts unfinished uploads.

The journal lists each upload, on disk (`disk_journal`) or in the bucket (`bucket_journal`). The janitor
aborts those whose server is gone (`liveness`), and those whose id no server has learned (`lost_upload_ids`).
"""
