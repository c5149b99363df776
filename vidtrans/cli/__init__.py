"""The command line: makes a command of what was typed, runs it, and shows what it reports."""
