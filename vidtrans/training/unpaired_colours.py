"""The colour map between two domains without pairs: what training starts from, and has to do better than."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vidtrans.data.dataset import Dataset, Pair
from vidtrans.errors import UsageError
from vidtrans.grading.lattice import SIZE, ColourLattice
from vidtrans.grading.learning import LearnedGrade, affine_colours, learn_from_colours
from vidtrans.grading.transport import AffineColours
from vidtrans.models.colour_grade import save_grade
from vidtrans.networks.init import inner_generator
from vidtrans.training.validation import evenly
from vidtrans.video.images.picture import read_picture

PICTURES = 24  # of each domain that are looked at


@dataclass(frozen=True)
class DomainColours:
    """What brings the colours of a domain to those of another.

    ``learned`` is the map as a grade; ``start`` maps colours of [−1, 1] likewise, as far as an affine map can: its
    ``matrix`` (3, 3) and ``shift`` (3,) are where a generator starts.
    """

    learned: LearnedGrade
    start: AffineColours

    @property
    def lattice(self) -> ColourLattice:
        """The map of colours in [0, 1]."""
        return self.learned.grade.lattice

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Return a picture, (H, W, 3) uint8, in the other domain's colours."""
        return np.rint(255 * self.lattice(picture / 255)).astype(np.uint8)

    def save(self, path: Path) -> None:
        """Write the map as a model."""
        words = self.learned.words
        save_grade(path, self.lattice.nodes, ", ".join(words), self.learned.scores | {"words": words})


def colours_of(sources: Sequence[Pair], targets: Sequence[Pair], method: str = "transport") -> DomainColours:
    """Return the colours of one domain's pictures brought to those of another's.

    ``method`` is one of ``grading.UNPAIRED_METHODS``. The same pictures give the same map. Raises MediaError.
    """
    learned = learn_from_colours(_pictures(sources), _pictures(targets), SIZE, method)
    return DomainColours(learned, affine_colours(_pictures(sources), _pictures(targets)).signed())


@dataclass(frozen=True)
class ColourMaps:
    """The maps from the source's colours to the targets', and back."""

    forth: DomainColours
    back: DomainColours


def maps_between(dataset: Dataset) -> ColourMaps:
    """Return the maps between the domains of a dataset, of its training pictures. Raises MediaError."""
    sources = dataset.inputs("train")
    targets = [pair for pair in dataset.role("train") if pair.domain]
    return ColourMaps(colours_of(sources, targets), colours_of(targets, sources))


def start_with_colours(generator: nn.Module, maps: ColourMaps | None, *, reverse: bool) -> None:
    """Let a generator that begins with a map of colours begin with one of these. Raises UsageError where none is."""
    inner: Any = inner_generator(generator)
    if not getattr(inner, "starts_with_colours", False):
        return
    if maps is None:
        why = "it goes by the colours of two domains, and this dataset has pairs"
        raise UsageError("generator.colour_start", why, "leave it out")
    start = (maps.back if reverse else maps.forth).start
    inner.set_colours(torch.from_numpy(np.column_stack([start.matrix, start.shift])))


def _pictures(pairs: Sequence[Pair]) -> Iterator[np.ndarray]:
    """Yield some of the pictures, evenly spread, one at a time."""
    for pair in evenly(pairs, PICTURES):
        yield read_picture(pair.target)
