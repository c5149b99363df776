"""Files of other tools: import checkpoints, ONNX, TorchScript and ``.cube`` LUTs, and export models."""
