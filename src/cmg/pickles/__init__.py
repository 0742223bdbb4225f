"""Pickle files read without running anything that they name."""
