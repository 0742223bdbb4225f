"""Toolkit for Cross Modal Generalization."""

__version__ = "0.1.0"
