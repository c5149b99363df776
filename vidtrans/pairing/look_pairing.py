"""A frame with the conditions of a model of one or more styles: their weights, and the stroke size.

There is no target; the target field holds the preceding frame, for the temporal-consistency loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.core.options import option
from vidtrans.core.registry import unknown_name
from vidtrans.pairing.base import Pairing, PairPositions

STROKE_LEVELS = (0, 128, 255)  # of the plane that says how large strokes are; what lies between is interpolated
MIDDLE = 1


@dataclass(frozen=True)
class LookSettings:
    """Names of the looks, in the network's order, and whether there is a stroke size."""

    looks: tuple[str, ...] = option(("look",), "names of the looks")
    strokes: bool = option(True, "a plane of the input is the stroke size")

    def __post_init__(self) -> None:
        if not self.looks or len(set(self.looks)) != len(self.looks):
            raise ValueError("pairing.looks needs names, each once")


class LookPairing(Pairing):
    """The frame plus constant planes: one per look (if there are several), and one for the stroke size (if it has)."""

    name = "look"
    version = 1
    has_target = False
    operators = "vidtrans.pairing.operators:LookOperators"
    Settings = LookSettings
    settings: LookSettings

    def __init__(self, settings: LookSettings) -> None:
        super().__init__(settings)
        self.num_looks = len(settings.looks)
        self.in_channels = 3 + condition_planes(self.num_looks, strokes=settings.strokes)

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        """Yield a pair for each frame but the first, its target the frame before it; a lone frame is its own target."""
        if num_frames == 1:
            yield PairPositions((0,), 0)
        for position in range(1, num_frames):
            yield PairPositions((position,), position - 1)

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the network's input: the frame plus the planes of the first look and the middle stroke size."""
        return self.conditioned(frames[0], np.eye(self.num_looks)[0], STROKE_LEVELS[MIDDLE] / 255)

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Return the network's input: the frame plus the planes of a random look and stroke size."""
        look, level = int(rng.integers(self.num_looks)), int(rng.integers(len(STROKE_LEVELS)))
        return self.conditioned(frames[0], np.eye(self.num_looks)[look], STROKE_LEVELS[level] / 255)

    def conditioned(self, frame: np.ndarray, shares: np.ndarray, stroke: float) -> np.ndarray:
        """Return a frame (H, W, 3) uint8 with its planes: the looks' weights ``shares``, and the stroke size, 0…1."""
        return self.with_planes(frame, self.plane_values(shares, stroke))

    def plane_values(self, shares: np.ndarray, stroke: float) -> np.ndarray:
        """Return the plane values, (P,) uint8, for the weights ``shares`` of looks and the ``stroke`` size, 0 to 1."""
        values = [*(shares if self.num_looks > 1 else ()), *((stroke,) if self.settings.strokes else ())]
        return np.rint(255 * np.asarray(values)).astype(np.uint8)

    def with_planes(self, frame: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Append a constant plane for each of ``values``, (P,) uint8, to a frame (H, W, 3) uint8: (H, W, 3 + P)."""
        planes = np.empty((*frame.shape[:2], len(values)), np.uint8)
        planes[...] = values
        return np.dstack([frame, planes])

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return the frame."""
        return net_input[..., :3]


def takes_strokes(pairing: Pairing) -> bool:
    """Return whether the stroke size is part of a pairing's input."""
    return isinstance(pairing, LookPairing) and pairing.settings.strokes


def look_conditions(pairing: LookPairing, name: str, stroke: float) -> tuple[float, ...]:
    """Return the condition planes' values, 0 to 1, for a look ('': the first) and a stroke size. Raises UsageError."""
    looks = pairing.settings.looks
    if name and name not in looks:
        raise unknown_name("look", name, list(looks))
    shares = [float(look == (name or looks[0])) for look in looks]
    return (*(shares if len(looks) > 1 else ()), *((stroke,) if pairing.settings.strokes else ()))


def condition_planes(looks: int, *, strokes: bool = True) -> int:
    """Return the number of condition planes: one for each of several looks, and one for the stroke size."""
    return strokes + (looks if looks > 1 else 0)
