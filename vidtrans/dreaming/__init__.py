"""Dreams: videos by autoregressive next-frame prediction, with a camera, a clock and drift correction."""
