"""Recorded voices: recordings of digit words from other packages, and features to read them."""
