"""The official data sets: one reader per file."""
