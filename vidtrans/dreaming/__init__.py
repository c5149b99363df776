"""Dreams: videos from next-frame prediction fed back on itself, with a camera, a clock and drift correction."""
