"""Provides credentials: the sources of botocore's chain, each with bounds, and their renewal while requests
run."""
