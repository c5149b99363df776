"""The matte of one thing in each frame of a clip, and the confidence in it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
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


class LoadedBlocks:
    """The arrays of blocks of frames, of which the latest are kept in memory. Several threads may read."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._loaded: OrderedDict[Hashable, dict[str, np.ndarray]] = OrderedDict()

    def __call__(self, block: Hashable, path_of: Callable[[], Path]) -> dict[str, np.ndarray]:
        """Return the arrays of a block; ``path_of``: its file, which is asked for only where it is not in memory."""
        with self._lock:
            if block not in self._loaded:
                self._loaded[block] = read_arrays(path_of())
                while len(self._loaded) > self._most:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(block)
            return self._loaded[block]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz file by name."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


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
