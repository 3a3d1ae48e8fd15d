"""Directories and names: listing, creating and removing directories, removing and renaming files and trees."""
