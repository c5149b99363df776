"""Past frames → the next frame, and optionally the position of the predicted frame in the training clip.

The position is that of a clock, whose timeline runs through the shot forwards and back ("ping-pong"), so that it closes
without a jump; or that of a pointer to the frames of the clip that are most like the past ones. The network is told of
it in constant planes that follow the frames in its input, beside the view of the clip's frames, the share of recall of
these, and the noise level of the input frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import PLAIN_OPERATORS, Pairing, PairPositions

if TYPE_CHECKING:
    from torch import Tensor

HARMONICS = (1, 2, 4, 8)
HANDS = 2 * len(HARMONICS)  # channels of the position
VIEW = 12  # channels of the view: two of each value, because 8 bits are too coarse for one
LEVELS = 2  # recall and noise
CHANNELS = HANDS + VIEW + LEVELS
WHOLE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # the view of the whole frame
FULL_NOISE = 0.5  # the standard deviation, of colours from -1 to 1, whose plane is 1


@dataclass(frozen=True)
class Told:
    """Values for a frame."""

    phase: float  # position of the predicted frame in turns, 0 to 1
    recall: float = 1.0  # how far the network may go by its clip's frames, 0 (not at all) to 1
    noise: float = 0.0  # standard deviation of the noise in the frames, of colours from -1 to 1
    # Two rows of the affine map from places in the picture to places in the clip's frame, both from -1 to 1 between the
    # edges, y down. Beyond its edges the frame is mirrored.
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


@dataclass(frozen=True)
class NextFrameSettings:
    """The input frames and the predicted frame."""

    step: int = option(1, "how many frames ahead the target lies", bounds=(1, 64))
    context_frames: int = option(1, "how many past frames the network sees", bounds=(1, 4))
    position: str = option(
        "none",
        "the network receives no position in the clip (none), the position of a clock that runs through one shot "
        "forwards and back (clock), or the position of the most similar frames (nearest)",
        choices=("none", "clock", "nearest"),
    )


class NextFrame(Pairing):
    """The next-frame pairing; pairs never span a cut.

    With a clock, a shot of L frames has 2 (L − 1) pairs, one for each position of a timeline that runs forwards through
    the shot and back. The timeline closes also if ``step`` skips frames.
    """

    name = "next-frame"
    version = 1
    pointwise = True
    deep = True
    has_tensor_form = True
    operators_refusal = "it takes several frames, or a position"
    Settings = NextFrameSettings
    settings: NextFrameSettings

    def __init__(self, settings: NextFrameSettings) -> None:
        super().__init__(settings)
        step, context = settings.step, settings.context_frames
        self.is_told = settings.position != "none"
        self.has_clock = settings.position == "clock"
        self.in_channels = 3 * context + (CHANNELS if self.is_told else 0)
        if context == 1 and not self.is_told:
            self.operators = PLAIN_OPERATORS
        self.stride = step
        self.min_frames = context * step + 1
        self.offsets = tuple(-k * step for k in reversed(range(context)))

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        """Yield the positions of each pair of a shot; none if it is too short."""
        step, reach = self.settings.step, self.settings.context_frames * self.settings.step
        if not self.has_clock:
            for target in range(reach, num_frames):
                yield PairPositions(tuple(range(target - reach, target, step)), target)
            return
        places = 2 * (num_frames - 1)
        frame: Callable[[int], int] = lambda place: min(place % places, -place % places)  # noqa: E731
        for place in range(places if num_frames >= self.min_frames else 0):
            inputs = tuple(frame(p) for p in range(place - reach, place, step))
            yield PairPositions(inputs, frame(place), place / places)

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return the latest frame."""
        return net_input[..., 3 * (self.settings.context_frames - 1) : 3 * self.settings.context_frames]

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Concatenate the context frames (H, W, 3) uint8 or uint16, oldest first, to (H, W, 3 · context_frames)."""
        return np.concatenate(list(frames), axis=2)

    def tensor_input(self, frames: Sequence[Tensor]) -> Tensor:
        """Concatenate batches of the context frames (N, H, W, 3), oldest first, to (N, H, W, 3 · context_frames)."""
        import torch  # not for those who only name pairings

        return torch.cat(list(frames), dim=3)
