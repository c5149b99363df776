"""ONNX files: read and check a graph without running it, then try it in a separate process."""
