"""A generator's own outputs as inputs in training."""
