"""Stores made of any source of clips: in chunks, by several processes, resumable."""
