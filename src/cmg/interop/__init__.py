"""Interchange with the official implementation's checkpoints."""
