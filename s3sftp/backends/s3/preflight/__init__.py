"""`s3sftp check` on a bucket: probes of what works, and advice about what does not."""
