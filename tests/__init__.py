"""Tests of s3sftp."""
