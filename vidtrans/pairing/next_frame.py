"""Past frames → the next frame, and optionally the position of the predicted frame in the training clip.

The position is that of a clock, whose timeline runs through the shot forwards and back ("ping-pong"), so that it closes
without a jump; or that of a pointer to the frames of the clip that are most like the past ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import PLAIN_OPERATORS, Pairing, PairPositions
from vidtrans.pairing.told_planes import CHANNELS

if TYPE_CHECKING:
    from torch import Tensor


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
            yield PairPositions(
                tuple(frame(p) for p in range(place - reach, place, step)), frame(place), place / places
            )

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
