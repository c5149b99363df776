"""Models to share: one file with the model, what people need to know of it, and a page of a folder of such files."""
