"""Trained models and what they need to read media: the extractors of their runs."""
