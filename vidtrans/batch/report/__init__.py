"""The farm report: the chunk log of a cache and the summaries of batches, on one page."""
