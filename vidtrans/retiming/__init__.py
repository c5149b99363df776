"""Change the time of a clip: frames between frames, slow motion, held frames and motion blur."""
