"""The command line: parses, calls one function of the pipeline, shows what it reports."""
