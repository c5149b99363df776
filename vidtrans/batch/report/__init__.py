"""The report of a night: what the log of a cache and the summaries of batches say, on one page."""
