"""Typed configuration: schema, named runs, dotted overrides."""
