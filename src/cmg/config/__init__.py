"""Typed configuration: schema, presets, methods, dotted overrides."""
