"""A network's own outputs as inputs in training."""
