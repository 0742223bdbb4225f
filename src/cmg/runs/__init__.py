"""Training runs on disk: their folder, their loop, their checkpoints and what is kept of them."""
