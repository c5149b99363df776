"""Threads beside the main one: prefetching iterators and background jobs."""
