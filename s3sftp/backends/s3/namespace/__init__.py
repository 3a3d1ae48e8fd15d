"""Implements names: listings, directories and their markers, and removing and renaming of files and trees."""
