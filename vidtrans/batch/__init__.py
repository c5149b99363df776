"""Batches of many clips: inputs, scheduler, executors and summary."""
