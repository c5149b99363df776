"""The pairing "past frames → next frame", optionally with the position of the next frame in the training clip.

The position is that of a clock, whose timeline runs through the shot forwards and back ("ping-pong"), so that the end
meets the start without a jump; or of a pointer to the frames of the clip that are most similar to the past frames. The
network receives the position in constant condition planes after the frames, together with the view of the clip's
frames, the recall (the share of the clip's frames in the prediction), and the noise level of the input frames.
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

# Frequencies of the sines and cosines that encode a position in the training clip, in periods per turn of the clock:
# one pass through a shot, forwards and back
HARMONICS = (1, 2, 4, 8)
POSITION_CHANNELS = 2 * len(HARMONICS)  # Number of condition planes for the position
# Number of condition planes for the view: two for each of its 6 values, because one 8-bit plane would be too coarse
VIEW_CHANNELS = 12
LEVEL_CHANNELS = 2  # Number of condition planes for ``recall`` and ``noise``; see ``ClipConditions``
CHANNELS = POSITION_CHANNELS + VIEW_CHANNELS + LEVEL_CHANNELS  # Number of all condition planes
FULL_VIEW = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # View that shows the whole frame: the rows of the identity as affine map
FULL_NOISE = 0.5  # Standard deviation of the noise, for colours from -1 to 1, at which the noise plane is 1


@dataclass(frozen=True)
class ClipConditions:
    """The conditions of a predicted frame: its position in the training clip, its view of it, recall and noise."""

    phase: float  # Position of the predicted frame in turns, 0 to 1
    recall: float = 1.0  # Allowed use of the clip's frames, 0 (none) to 1
    noise: float = 0.0  # Standard deviation of the noise in the frames, for colours from -1 to 1
    # Two rows of the affine map from positions in the picture to positions in the clip's frame. Both are from -1 to 1
    # between the edges, with y down. Outside of its edges the frame is mirrored.
    view: tuple[float, ...] = FULL_VIEW

    def values(self) -> np.ndarray:
        """Return the values of the condition planes, (CHANNELS,) float32 in [-1, 1]: position, view, recall and noise.

        The position is encoded by a sine and a cosine for each harmonic.
        """
        turns = 2 * np.pi * self.phase * np.array(HARMONICS)
        position = np.stack([np.sin(turns), np.cos(turns)], axis=1).reshape(-1)
        levels = 2 * self.recall - 1, noise_plane(self.noise)
        return np.array([*position, *view_planes(self.view), *levels], np.float32)


def view_planes(view: tuple[float, ...]) -> np.ndarray:
    """Return the planes' values for a ``view``, (VIEW_CHANNELS,) float64 in [-1, 1]: high and low byte of each number.

    Shifts repeat after 4, as the mirrored frame does; the rotation and zoom terms are limited to -2 … 2.
    """
    rows = np.array(view, np.float64).reshape(2, 3)
    rows[:, 2] = (rows[:, 2] + 2) % 4 - 2
    codes = np.rint((rows.ravel().clip(-2, 2) + 2) * (65535 / 4)).astype(int)
    return np.stack(np.divmod(codes, 256), axis=1).reshape(-1) / 127.5 - 1


def noise_plane(sigma: float) -> float:
    """Return the value of the noise plane, -1 to 1. ``sigma``: the noise's standard deviation, for colours -1 to 1."""
    return 2 * min(1.0, sigma / FULL_NOISE) - 1


def picture_channels(channels: int, has_planes: bool) -> int:
    """Return the number of picture channels of an input with ``channels`` channels.

    ``has_planes``: the input also has condition planes, which are subtracted.
    """
    return channels - (CHANNELS if has_planes else 0)


def append_condition_planes(picture: np.ndarray, conditions: ClipConditions | None) -> np.ndarray:
    """Append the condition planes to a picture, if there are any: (H, W, C) → (H, W, C + CHANNELS).

    Their values from −1 to 1 become the range of the picture's dtype.
    """
    if conditions is None:
        return picture
    planes = np.rint((conditions.values() + 1) * (np.iinfo(picture.dtype).max / 2)).astype(picture.dtype)
    return np.dstack([picture, np.broadcast_to(planes, (*picture.shape[:2], CHANNELS))])


@dataclass(frozen=True)
class NextFrameSettings:
    """Settings of ``NextFrame``: number of past frames, frames to the target, and the kind of position in the input."""

    step: int = option(1, "number of frames from the input to the target", bounds=(1, 64))
    context_frames: int = option(1, "number of past frames in the input of the network", bounds=(1, 4))
    position: str = option(
        "none",
        "Position in the clip, as network input. With none, there is no position. With clock, a clock runs "
        "forwards and back through one shot. With nearest, it is the position of the most similar frames.",
        choices=("none", "clock", "nearest"),
    )


class NextFrame(Pairing):
    """A pairing of past frames with the next frame; the frames of a pair are in one shot.

    With a clock, a shot of L frames has 2 (L − 1) pairs, one for each position of a timeline that runs forwards through
    the shot and back. The timeline also closes if ``step`` skips frames.
    """

    name = "next-frame"
    pointwise = True
    deep = True
    has_tensor_form = True
    operators_refusal = "it takes several frames, or a position"
    Settings = NextFrameSettings
    settings: NextFrameSettings

    def __init__(self, settings: NextFrameSettings) -> None:
        super().__init__(settings)
        step, context = settings.step, settings.context_frames
        self.has_conditions = settings.position != "none"
        self.has_clock = settings.position == "clock"
        self.in_channels = 3 * context + (CHANNELS if self.has_conditions else 0)
        if context == 1 and not self.has_conditions:
            self.operators = PLAIN_OPERATORS
        self.stride = step
        self.min_frames = context * step + 1
        self.offsets = tuple(-k * step for k in reversed(range(context)))

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        """Yield the positions of the past frames and the target of each pair; with a clock, also its phase, 0 to 1.

        The clock is the position on a timeline that runs forwards through the shot and back.
        """
        step, reach = self.settings.step, self.settings.context_frames * self.settings.step
        if not self.has_clock:
            for target in range(reach, num_frames):
                yield PairPositions(tuple(range(target - reach, target, step)), target)
            return
        timeline_length = 2 * (num_frames - 1)
        frame: Callable[[int], int] = lambda time_step: min(time_step % timeline_length, -time_step % timeline_length)  # noqa: E731
        for time_step in range(timeline_length if num_frames >= self.min_frames else 0):
            inputs = tuple(frame(p) for p in range(time_step - reach, time_step, step))
            yield PairPositions(inputs, frame(time_step), time_step / timeline_length)

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return the latest past frame."""
        return net_input[..., 3 * (self.settings.context_frames - 1) : 3 * self.settings.context_frames]

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Concatenate the context frames (H, W, 3) uint8 or uint16, oldest first, to (H, W, 3 · context_frames)."""
        return np.concatenate(list(frames), axis=2)

    def tensor_input(self, frames: Sequence[Tensor]) -> Tensor:
        """Concatenate batches of the context frames (N, H, W, 3), oldest first, to (N, H, W, 3 · context_frames)."""
        import torch  # Imported here, because commands that only name pairings do not need it

        return torch.cat(list(frames), dim=3)
