"""Models: the unified model and the published builders."""
