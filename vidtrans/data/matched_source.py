"""Pairs of two clips that are not in step: each frame of the target with a frame that shows the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vidtrans.clips.sampling import MAX_SKIPPED
from vidtrans.core.files import base_name
from vidtrans.core.settings import Size
from vidtrans.data.dataset import Role
from vidtrans.data.sources import ClipSource
from vidtrans.flow.matching import bring
from vidtrans.video.images.picture import resize


@dataclass(frozen=True, kw_only=True)
class MatchedSource(ClipSource):
    """The frames of a target. ``matches``: for the number of each that has an input, that of a frame of ``given``."""

    given: ClipSource
    matches: Mapping[int, int]

    @property
    def name(self) -> str:
        """Return the name of the clip that is given."""
        return base_name(self.given.path)

    @property
    def left_out(self) -> frozenset[int]:
        """Return the frames that show nothing of what is given."""
        return frozenset(range(self.first, self.stop)) - self.matches.keys()

    def pictures(self, numbers: list[int], size: Size) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each frame of ``numbers`` (increasing): the input, brought to its target; the target.

        Both are (H, W, 3) uint8, of the target's size. All the inputs are read first, as they lie anywhere.
        """
        if self.index.same_size:
            size = Size(exact=size.of(self.index.width, self.index.height))
        inputs: dict[int, np.ndarray] = {}
        for near in _stretches(sorted({self.matches[number] for number in numbers})):
            inputs |= dict(zip(near, (rows[0] for rows in self.given.pictures(near, size)), strict=True))
        for number, (target,) in zip(numbers, super().pictures(numbers, size), strict=True):
            given = resize(inputs[self.matches[number]], target.shape[1], target.shape[0])
            yield bring(given, target), target


def keep_apart(roles: Mapping[int, Role], matches: Mapping[int, int], gap: int) -> dict[int, Role]:
    """Return the roles of frames, where none learns from an input that lies within ``gap`` of a held-out one's."""
    held_out = {matches[n] for n, role in roles.items() if role == "val"}
    near = {n + k for n in held_out for k in range(-gap, gap + 1)}
    return {n: "gap" if role == "train" and matches[n] in near else role for n, role in roles.items()}


def _stretches(numbers: list[int]) -> list[list[int]]:
    """Split increasing numbers where more frames lie between two than are decoded sooner than sought."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number - groups[-1][-1] <= MAX_SKIPPED:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups
