"""Threads beside the main one, and copies to a GPU and back."""
