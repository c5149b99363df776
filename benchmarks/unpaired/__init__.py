"""Looks that are learned without pairs, on footage whose pairs are known and withheld."""
