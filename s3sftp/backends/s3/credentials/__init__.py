"""Credentials: the sources of botocore's chain, bounded, and renewed while requests run."""
