"""The cache on disk: stages, entries, chunks, locks, the log of rendered chunks, and the splitting into chunks."""
