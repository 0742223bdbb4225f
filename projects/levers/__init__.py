"""What was tried beside the recipe."""
