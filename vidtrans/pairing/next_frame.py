"""Frames → the one that follows them: the dataset of next-frame prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vidtrans.pairing.base import BasePairing, PairPositions
from vidtrans.pairing.clock import CHANNELS
from vidtrans.settings import setting


@dataclass(frozen=True)
class NextFrameSettings:
    """Which frames are seen and which is predicted."""

    step: int = setting(1, "how many frames ahead the target lies", low=1, high=64)
    context_frames: int = setting(1, "how many past frames the network sees", low=1, high=4)
    time_encoding: bool = setting(
        False, "the network is told where in the clip it is: it learns to go through it, to and fro, without an end"
    )


class NextFrame(BasePairing):
    """Pairs never span a cut: they are made within a shot.

    With a clock, the pairs of a shot of L frames are 2 (L − 1), for each place of a timeline that goes forwards through
    the shot and back again. With as many frames left out as ``step`` jumps over, it still closes.
    """

    name: ClassVar[str] = "next-frame"
    version: ClassVar[int] = 1
    Settings: ClassVar[type] = NextFrameSettings
    deep = True

    def __init__(self, settings: NextFrameSettings) -> None:
        self.settings = settings

    @property
    def in_channels(self) -> int:
        return 3 * self.settings.context_frames + (CHANNELS if self.settings.time_encoding else 0)

    @property
    def has_clock(self) -> bool:
        return self.settings.time_encoding

    @property
    def stride(self) -> int:
        return self.settings.step

    @property
    def min_frames(self) -> int:
        return (self.settings.context_frames - 1) * self.settings.step + self.settings.step + 1

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        step, reach = self.settings.step, self.settings.context_frames * self.settings.step
        if not self.settings.time_encoding:
            for target in range(reach, num_frames):
                yield PairPositions(tuple(range(target - reach, target, step)), target)
            return
        places = 2 * (num_frames - 1)
        frame: Callable[[int], int] = lambda place: min(place % places, -place % places)  # noqa: E731
        for place in range(places if num_frames >= self.min_frames else 0):
            yield PairPositions(
                tuple(frame(p) for p in range(place - reach, place, step)), frame(place), place / places
            )

    def preview(self, shown: np.ndarray) -> np.ndarray:
        """The latest frame."""
        return shown[..., 3 * (self.settings.context_frames - 1) : 3 * self.settings.context_frames]

    @property
    def offsets(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(-k * self.settings.step for k in reversed(range(self.settings.context_frames)))

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """``context`` frames (H, W, 3) uint8, oldest first → (H, W, 3·context) uint8."""
        return np.concatenate(list(frames), axis=2)
