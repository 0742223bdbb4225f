"""Encoders: semantic (shared content) and detail (private part) per modality kind."""
