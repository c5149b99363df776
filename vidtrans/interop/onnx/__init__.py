"""ONNX files: read and check a graph without running it, then test it in a separate process."""
