"""ONNX files: their graphs are read without being run, checked, and tried in a process of their own."""
