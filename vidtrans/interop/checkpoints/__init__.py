"""Checkpoints of other tools: tensors in pickles, read without running anything that a file says."""
