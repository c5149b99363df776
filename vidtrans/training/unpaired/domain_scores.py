"""Scores of an unpaired translator on held-out frames of two domains."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from vidtrans.clips.sampling import segment_centres
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.inference.engine import Engine
from vidtrans.metrics.unpaired_scores import (
    REVERSED,
    DomainDistance,
    cycle_error,
    diversity,
    light_correlation,
    network_patches,
    random_patches,
    temporal_error,
)
from vidtrans.pairing.base import Pairing
from vidtrans.training.validation import apply, evenly
from vidtrans.video.images.picture import read_picture

MIN_SOURCES, MIN_TARGETS = 2, 4  # pictures that a distance of domains needs
DIGITS = 4

Pictures = Sequence[np.ndarray]


def choose(pairs: Sequence[Pair], most: int) -> list[Pair]:
    """Return at most ``most`` frames of each domain; source frames as neighbouring pairs if there are any."""
    sources = [pair for pair in pairs if pair.domain == 0]
    pairs_in_time = [i for i, (one, next_) in enumerate(pairwise(sources)) if _follows(one, next_)]
    if pairs_in_time:
        first = [pairs_in_time[i] for i in segment_centres(len(pairs_in_time), min(most // 2, len(pairs_in_time)))]
        sources = [sources[i] for i in sorted({*first, *(i + 1 for i in first)})]
    return [*evenly(sources, most), *evenly([pair for pair in pairs if pair.domain], most)]


def _follows(one: Pair, other: Pair) -> bool:
    return one.shot == other.shot and one.place + 1 == other.place


class DomainScores:
    """The held-out frames of both domains, read and analysed once.

    ``pairs``: frames of all domains. ``recolour`` maps a frame (H, W, 3) uint8 to the target's colours.
    """

    def __init__(self, pairs: Sequence[Pair], recolour: Callable[[np.ndarray], np.ndarray] | None) -> None:
        self._names = [pair.target for pair in pairs]
        self.sources = [pair for pair in pairs if pair.domain == 0]
        self._inputs = [read_picture(pair.target) for pair in self.sources]
        self.targets = [read_picture(pair.target) for pair in pairs if pair.domain]
        self._distances: dict[str, DomainDistance] = {}
        if len(self._inputs) >= MIN_SOURCES and len(self.targets) >= MIN_TARGETS:
            for name, describe in (("patch_distance", network_patches()), ("random_distance", random_patches())):
                if describe is not None:
                    self._distances[name] = DomainDistance.between(describe, self._inputs, self.targets)
        self._of_colours = self._distance([recolour(given) for given in self._inputs]) if recolour else None

    def are_of(self, pairs: Sequence[Pair]) -> bool:
        """Return whether ``pairs`` are the frames scored here."""
        return [pair.target for pair in pairs] == self._names

    def of_engine(self, engine: Engine, pairing: Pairing, back: Callable[[np.ndarray], np.ndarray] | None) -> Table:
        """Return the scores of an engine's outputs, see ``__call__``; many looks are taken from the targets in turn."""
        likes: list[np.ndarray | None] = [*self.targets] or [None]
        painted = zip(self.sources, itertools.cycle(likes), strict=False)
        return self([apply(engine, pairing, pair, like)[1] for pair, like in painted], back)

    def _distance(self, pictures: Pictures) -> float | None:
        """Return pictures' distance from the target domain by network features, else random ones; None if unknown."""
        distance = self._distances.get("patch_distance", self._distances.get("random_distance"))
        return distance(pictures) if distance else None

    def __call__(self, outputs: Pictures, back: Callable[[np.ndarray], np.ndarray] | None) -> Table:
        """Return the scores of ``outputs`` for the sources; ``back``: the reverse translator, or None."""
        inputs = self._inputs
        found = {name: distance(outputs) for name, distance in self._distances.items()}
        found["patch_distance"] = self._distance(outputs)
        found["colours_distance"] = self._of_colours
        found["light_correlation"] = light_correlation(inputs, outputs)
        found["diversity"] = diversity(outputs, self.targets)
        found["cycle_error"] = cycle_error(inputs, [back(output) for output in outputs]) if back else None
        steps = [(i, i + 1) for i, (a, b) in enumerate(pairwise(self.sources)) if _follows(a, b)]
        sides = ([(pictures[i], pictures[k]) for i, k in steps] for pictures in (inputs, outputs))
        found["temporal_error"] = temporal_error(*sides)
        rounded = {name: None if value is None else round(value, DIGITS) for name, value in found.items()}
        return {"pairs": len(outputs)} | rounded


def remarks(scores: Table) -> list[str]:
    """Return remarks for the user on the scores of a finished model, one line each."""
    found = []
    own, colours, light = (scores.get(n) for n in ("patch_distance", "colours_distance", "light_correlation"))
    if own is not None and colours is not None and own >= colours:
        found.append(
            f"only colours were transferred: the colour map alone is as near to the target ({colours:.2f}) as "
            f"the model ({own:.2f}), and cannot flicker"
        )
    if light is not None and light < REVERSED:
        found.append("light and dark are reversed: try a higher training.lambda_identity, or generator.colour_start")
    return found
