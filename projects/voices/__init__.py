"""Recorded digit words, read by models that never heard a person.

The recordings are in packages of others. They are read where the user has them; nothing of them,
and nothing made of them, comes with cmg.
"""
