"""The pairing of style models: a frame with condition planes for the style weights and the stroke size.

There is no target picture; the target of a pair is the preceding frame, for the temporal-consistency loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.core.options import option
from vidtrans.core.registry import unknown_name
from vidtrans.pairing.base import Pairing, PairPositions

# Levels, 0 to 255, of the stroke-size plane in training; other stroke sizes are interpolated
STROKE_LEVELS = (0, 128, 255)
MIDDLE_LEVEL = 1  # Index of the middle stroke size in STROKE_LEVELS


@dataclass(frozen=True)
class LookSettings:
    """Settings of ``LookPairing``: the styles in the order of their planes, and whether a plane is the stroke size."""

    looks: tuple[str, ...] = option(("look",), "names of the looks")
    strokes: bool = option(True, "add an input channel with the stroke size")

    def __post_init__(self) -> None:
        if not self.looks or len(set(self.looks)) != len(self.looks):
            raise ValueError("pairing.looks needs names, each once")


class LookPairing(Pairing):
    """A pairing of a frame and condition planes: one plane for each style's weight, and one for the stroke size.

    A model of one style has no plane for its weight.
    """

    name = "look"
    has_target = False
    operators = "vidtrans.pairing.operators:LookOperators"
    Settings = LookSettings
    settings: LookSettings

    def __init__(self, settings: LookSettings) -> None:
        super().__init__(settings)
        self.num_looks = len(settings.looks)
        self.in_channels = 3 + condition_planes(self.num_looks, strokes=settings.strokes)

    def pair_positions(self, num_frames: int) -> Iterator[PairPositions]:
        """Yield each frame except the first, with the previous frame as target; a single frame is its own target."""
        if num_frames == 1:
            yield PairPositions((0,), 0)
        for position in range(1, num_frames):
            yield PairPositions((position,), position - 1)

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Append the planes of the first style and the middle stroke size to the frame."""
        return self.conditioned(frames[0], np.eye(self.num_looks)[0], STROKE_LEVELS[MIDDLE_LEVEL] / 255)

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Append the planes of a random style and a random stroke size to the frame."""
        look, level = int(rng.integers(self.num_looks)), int(rng.integers(len(STROKE_LEVELS)))
        return self.conditioned(frames[0], np.eye(self.num_looks)[look], STROKE_LEVELS[level] / 255)

    def conditioned(self, frame: np.ndarray, shares: np.ndarray, stroke: float) -> np.ndarray:
        """Append planes for the style weights ``shares`` and the stroke size, 0 to 1, to a frame, (H, W, 3) uint8."""
        return self.with_planes(frame, self.plane_values(shares, stroke))

    def plane_values(self, shares: np.ndarray, stroke: float) -> np.ndarray:
        """Return the planes' values, (P,) uint8, for the style weights ``shares`` and the ``stroke`` size, 0 to 1."""
        values = [*(shares if self.num_looks > 1 else ()), *((stroke,) if self.settings.strokes else ())]
        return np.rint(255 * np.asarray(values)).astype(np.uint8)

    def with_planes(self, frame: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Append a constant plane for each of ``values``, (P,) uint8, to a frame (H, W, 3) uint8: (H, W, 3 + P)."""
        planes = np.empty((*frame.shape[:2], len(values)), np.uint8)
        planes[...] = values
        return np.dstack([frame, planes])

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return the frame without the condition planes."""
        return net_input[..., :3]


def takes_strokes(pairing: Pairing) -> bool:
    """Return whether a pairing's input includes the stroke size."""
    return isinstance(pairing, LookPairing) and pairing.settings.strokes


def look_conditions(pairing: LookPairing, name: str, stroke: float) -> tuple[float, ...]:
    """Return the values of the condition planes, 0 to 1, for the style ``name`` ("": the first) and a stroke size.

    Raises UsageError for an unknown style.
    """
    looks = pairing.settings.looks
    if name and name not in looks:
        raise unknown_name("look", name, list(looks))
    shares = [float(look == (name or looks[0])) for look in looks]
    return (*(shares if len(looks) > 1 else ()), *((stroke,) if pairing.settings.strokes else ()))


def condition_planes(looks: int, *, strokes: bool = True) -> int:
    """Return the number of condition planes of a model with ``looks`` styles; ``strokes``: one is the stroke size.

    Each style has a plane, unless the model has only one style.
    """
    return strokes + (looks if looks > 1 else 0)
