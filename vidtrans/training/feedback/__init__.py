"""Own outputs as inputs in training."""
