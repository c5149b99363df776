"""Files of other tools, in and out: checkpoints, ONNX, TorchScript and colour tables are read, and models exported."""
