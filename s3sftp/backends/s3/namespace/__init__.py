"""Names: listings, directories and their markers, removing and renaming of files and trees."""
