"""Benchmarks: the same work on s3sftp and on its peers, over the same S3, in one run. See README.md."""
