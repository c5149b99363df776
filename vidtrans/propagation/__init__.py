"""Painted frames carried through a clip, and corrections through a result."""
