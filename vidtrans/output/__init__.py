"""Output files: their paths, formats, assembly and records."""
