"""The lists of the official data: one module per dialect."""
