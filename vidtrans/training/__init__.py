"""Teaching a look: pix2pix on pairs, with exact resume."""
