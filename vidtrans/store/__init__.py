"""The cache on disk: stages, entries, chunks, locks, the render log, and a forecast of the disk use."""
