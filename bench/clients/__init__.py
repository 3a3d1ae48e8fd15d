"""The clients that do the work: the same for every peer."""
