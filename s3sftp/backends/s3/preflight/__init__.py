"""Checks a bucket for `s3sftp check`: `check` runs the other modules' probes and advises on failures."""
