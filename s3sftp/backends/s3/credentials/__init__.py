"""Provides credentials from botocore's chain, with bounds on each source, and renews them in use."""
