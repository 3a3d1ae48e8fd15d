"""Checks a bucket for `s3sftp check`: `check` runs the probes of the other modules, with advice for what
fails."""
