"""Dreams: videos made by autoregressive next-frame prediction, with a virtual camera, a clock and drift correction."""
