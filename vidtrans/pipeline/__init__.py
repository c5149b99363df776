"""Stages, cache, resume: what runs and what is reused."""
