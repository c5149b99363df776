"""The condition planes of a next-frame network: constant planes that follow the frames in its input.

They hold the position on the clip's timeline as sines and cosines, the view of the clip's frames, the share of recall
of these, and the noise level of the input frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HARMONICS = (1, 2, 4, 8)
HANDS = 2 * len(HARMONICS)  # channels of the position
VIEW = 12  # channels of the view: two of each value, because 8 bits are too coarse for one
LEVELS = 2  # recall and noise
CHANNELS = HANDS + VIEW + LEVELS
WHOLE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # the view of the whole frame
FULL_NOISE = 0.5  # the standard deviation, of colours from -1 to 1, whose plane is 1


@dataclass(frozen=True)
class Told:
    """Values for a frame.

    Attributes:
        phase: Position of the predicted frame in turns, 0 to 1.
        recall: How far the network may go by its clip's frames, 0 (not at all) to 1.
        noise: Standard deviation of the noise in the frames, of colours from -1 to 1.
        view: Two rows of the affine map from places in the picture to places in the clip's frame, both from -1 to 1
            between the edges, y down. Beyond its edges the frame is mirrored.
    """

    phase: float
    recall: float = 1.0
    noise: float = 0.0
    view: tuple[float, ...] = WHOLE

    def values(self) -> np.ndarray:
        """Return the planes' values, (CHANNELS,) float32 in [-1, 1]; of a position sine and cosine by harmonic."""
        turns = 2 * np.pi * self.phase * np.array(HARMONICS)
        hands = np.stack([np.sin(turns), np.cos(turns)], axis=1).reshape(-1)
        levels = 2 * self.recall - 1, noise_plane(self.noise)
        return np.array([*hands, *view_planes(self.view), *levels], np.float32)


def view_planes(view: tuple[float, ...]) -> np.ndarray:
    """Return the planes' values of a view, (VIEW,) float64 in [-1, 1]: the high and the low byte of each value.

    Shifts repeat after 4, as the mirrored frame does; what turns and zooms is limited to -2 … 2.
    """
    rows = np.array(view, np.float64).reshape(2, 3)
    rows[:, 2] = (rows[:, 2] + 2) % 4 - 2
    counts = np.rint((rows.ravel().clip(-2, 2) + 2) * (65535 / 4)).astype(int)
    return np.stack(np.divmod(counts, 256), axis=1).reshape(-1) / 127.5 - 1


def noise_plane(sigma: float) -> float:
    """Return the value of the noise plane, -1 to 1."""
    return 2 * min(1.0, sigma / FULL_NOISE) - 1


def picture_channels(channels: int, told: bool) -> int:
    """Return how many of an input's ``channels`` hold pictures: all, or if ``told``, all before the told planes."""
    return channels - (CHANNELS if told else 0)


def with_told(picture: np.ndarray, told: Told | None) -> np.ndarray:
    """Append the told planes, −1 … 1 as the dtype's range, if ``told``: (H, W, C) → (H, W, C + CHANNELS)."""
    if told is None:
        return picture
    planes = np.rint((told.values() + 1) * (np.iinfo(picture.dtype).max / 2)).astype(picture.dtype)
    return np.dstack([picture, np.broadcast_to(planes, (*picture.shape[:2], CHANNELS))])
