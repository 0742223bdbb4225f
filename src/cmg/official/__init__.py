"""The authors' data folder: its parts, its lists, and clips read straight from it."""
