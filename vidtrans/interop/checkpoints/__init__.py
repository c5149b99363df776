"""Checkpoints of other tools: read tensors from pickles and safetensors without running code in a file."""
