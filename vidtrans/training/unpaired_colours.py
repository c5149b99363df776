"""The colour map between two unpaired domains: the starting point of the training, and a baseline for its scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vidtrans.core.errors import UsageError
from vidtrans.data.dataset import Dataset, Pair
from vidtrans.flow.bars import bars_of
from vidtrans.grading.lattice import SIZE, ColourLattice
from vidtrans.grading.learning import LearnedGrade, learn_from_colours
from vidtrans.grading.transfer import AffineColours, affine_colours
from vidtrans.models.model_file import save_grade
from vidtrans.networks.init import inner_generator
from vidtrans.training.validation import pick_evenly
from vidtrans.video.images.picture import read_picture

METHOD = "transport"  # Name of the colour-transfer method, one of ``grading.UNPAIRED_METHODS``.
MAX_PICTURES = 24  # Maximum number of pictures of each domain from which the colour map is computed.


class DomainColours:
    """A map from the colours of one domain (pairs ``sources``) to another's (``targets``), computed on first use."""

    def __init__(self, sources: Sequence[Pair], targets: Sequence[Pair]) -> None:
        self._sides = sources, targets

    @cached_property
    def _grade(self) -> LearnedGrade:
        """Return the colour map, computed from evenly spaced pictures of both domains."""
        sources, targets = self._sides
        return learn_from_colours(_pictures(sources), _pictures(targets), SIZE, METHOD)

    @property
    def start(self) -> AffineColours:
        """Return the affine approximation of the colour map, for colours in [−1, 1], which initialises a generator."""
        sources, targets = self._sides
        return affine_colours(_pictures(sources), _pictures(targets)).signed()

    @property
    def lattice(self) -> ColourLattice:
        """Return the colour map, for colours in [0, 1]."""
        return self._grade.grade.lattice

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Map a picture, (H, W, 3) uint8, to the other domain's colours."""
        return np.rint(255 * self.lattice(picture / 255)).astype(np.uint8)

    def save(self, path: Path) -> None:
        """Write the colour map to ``path`` as a model file."""
        words = self._grade.words
        save_grade(path, self.lattice.nodes, ", ".join(words), self._grade.scores | {"words": words})


@dataclass(frozen=True)
class ColourMaps:
    """The colour maps from the source domain's colours to the target's, and back."""

    forth: DomainColours
    back: DomainColours


def maps_between(dataset: Dataset) -> ColourMaps:
    """Return the colour maps between a dataset's domains, computed from its training pictures."""
    sources, targets = dataset.inputs("train"), dataset.targets("train")
    return ColourMaps(DomainColours(sources, targets), DomainColours(targets, sources))


def start_with_colours(generator: nn.Module, maps: ColourMaps | None, *, reverse: bool) -> None:
    """Make a generator with the setting ``colour_start`` begin with the colour map from source to target domain.

    ``reverse``: with the map from target to source. Raises UsageError if ``maps`` is None.
    """
    inner: Any = inner_generator(generator)
    if maps is None:
        why = "it needs unpaired domains, and this dataset has pairs"
        raise UsageError("generator.colour_start", why, "leave it out, or set it to false")
    start = (maps.back if reverse else maps.forth).start
    inner.set_colours(torch.from_numpy(np.column_stack([start.matrix, start.shift])))


def _pictures(pairs: Sequence[Pair]) -> Iterator[np.ndarray]:
    """Yield at most ``MAX_PICTURES`` evenly spaced pictures without black bars, (H, W, 3) uint8."""
    for pair in pick_evenly(pairs, MAX_PICTURES):
        picture = read_picture(pair.target)
        yield bars_of([picture]).crop(picture)
