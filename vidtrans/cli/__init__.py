"""The command line: parse arguments to a command, run it, and show its output."""
