"""Pre-training: the step, the loop, checkpoints, the run folder."""
