"""Clips and data aligned with them: index, cut lists, masks, guides."""
