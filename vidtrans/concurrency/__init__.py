"""Threads beside the main one."""
