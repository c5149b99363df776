"""Clips and what is aligned with them: cut lists, masks, guides."""
