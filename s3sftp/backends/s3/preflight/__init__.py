"""`s3sftp check` on a bucket: `check` runs the probes of the other modules, with advice for what fails."""
