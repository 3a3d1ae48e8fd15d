"""Credentials: the sources of botocore's chain, each bounded, and their renewal while requests run."""
