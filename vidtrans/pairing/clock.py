"""The time encoding of next-frame prediction: the position of the predicted frame on the training clip.

The timeline goes through the shot forwards and back again ("ping-pong"), so that it closes without a jump.
"""

from __future__ import annotations

import numpy as np

HARMONICS = (1, 2, 4, 8)
CHANNELS = 2 * len(HARMONICS)


def picture_channels(channels: int, clocked: bool) -> int:
    """How many of an input's channels are of pictures; they come first."""
    return channels - (CHANNELS if clocked else 0)


def clock(phase: float) -> np.ndarray:
    """(CHANNELS,) float32 in [-1, 1]: sine and cosine of 2π·k·phase for each harmonic k, in turn."""
    turns = 2 * np.pi * phase * np.array(HARMONICS)
    return np.stack([np.sin(turns), np.cos(turns)], axis=1).reshape(-1).astype(np.float32)


def with_clock(picture: np.ndarray, phase: float | None) -> np.ndarray:
    """(H, W, C) uint8 or uint16 → (H, W, C + CHANNELS), the clock as planes of full scale for −1 … 1; as is without."""
    if phase is None:
        return picture
    planes = np.rint((clock(phase) + 1) * (np.iinfo(picture.dtype).max / 2)).astype(picture.dtype)
    return np.dstack([picture, np.broadcast_to(planes, (*picture.shape[:2], CHANNELS))])
