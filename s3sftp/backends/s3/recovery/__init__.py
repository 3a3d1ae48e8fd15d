"""Unfinished uploads: the journal that names them, on disk or in the bucket, and the janitor that aborts them."""
