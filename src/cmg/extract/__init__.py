"""From raw media to features: scan a folder, decode, cut into steps, run an extractor."""
