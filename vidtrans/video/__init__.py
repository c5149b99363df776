"""Read and write frames, sound and colour with PyAV, as streams: a clip is never held in memory as a whole."""
