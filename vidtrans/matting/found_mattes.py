"""What is found of one thing: its matte in each frame of a clip, and the confidence in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from vidtrans.clips.indexing import Clip


class FoundMatte(NamedTuple):
    """The matte of a frame, (h, w) float32 from 0 to 1, and the confidence in it."""

    matte: np.ndarray
    confidence: float


@dataclass(frozen=True)
class MatteSource:
    """A clip and the frames of it on which one thing is painted: mattes (h, w) uint8 at the working size, by number."""

    clip: Clip
    span: tuple[int, int]
    size: tuple[int, int]
    painted: Mapping[int, np.ndarray]

    @property
    def shots(self) -> list[range]:
        """Return the frames of each shot in the span."""
        return self.clip.shots_in(*self.span)

    def digest(self, key: int) -> str:
        """Return the digest of what is painted on a frame."""
        return hashlib.sha256(np.ascontiguousarray(self.painted[key]).tobytes()).hexdigest()


class FoundMattes(Protocol):
    """The interface of the mattes of one thing, at the size of their ``source``."""

    source: MatteSource

    def at(self, frame: int) -> FoundMatte:
        """Return the matte of a frame."""
        ...

    def for_key(self) -> list[str]:
        """Return the cache keys that identify the mattes."""
        ...

    def painted_key(self, keys: Sequence[int]) -> list[list[object]]:
        """Return painted frames and the digests of what is painted on them."""
        ...


def confidences(mattes: FoundMattes) -> dict[int, float]:
    """Return the confidence in the matte of each frame of the span."""
    return {frame: mattes.at(frame).confidence for frame in range(*mattes.source.span)}
