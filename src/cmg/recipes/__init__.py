"""Whole runs, each read top to bottom: pretrain, evaluate, probe, encode, demo."""
