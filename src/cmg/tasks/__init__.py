"""The benchmarks AVE, AVVP, AVE to AVVP, and UCF101 with VGGSound, as published and clean."""
