"""Read and write frames, sound and colour with PyAV, as streams: no clip is loaded into memory completely."""
