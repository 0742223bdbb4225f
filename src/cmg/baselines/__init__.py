"""Fair baselines: what pairs and labels give without a codebook, and without a network."""
