"""Cross-modal evaluation: encode once, train heads, measure transfer."""
