"""Model files of other tools: import checkpoints, ONNX, TorchScript and ``.cube`` LUTs; export models."""
