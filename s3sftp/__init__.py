"""s3sftp: an SFTP server whose storage is an S3 bucket.

The layers, top to bottom; an import only points down:

    cli  app          commands; the one place that puts objects together; start, drain, stop
    ssh               listener, connection limits, host keys, algorithms
    auth              who may come in, and as whom
    sftp              protocol v3: codec, session, handles, attributes, status table
    fs                what a user sees: paths, mounts, open files, read-ahead, writers
    backends          the contract; s3 is the product; memory is a test double
    telemetry         spans, logs, what an operation cost
    config  errors    typed options; the one tree of errors
"""

__version__ = "0.1.0"
