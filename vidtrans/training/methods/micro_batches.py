"""Micro-batches: parts of a step's batch, processed one at a time to save memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vidtrans.training.losses.base import PrecedingFrames

SEED_STRIDE = 1009  # between the seeds of two processes: more than a batch has parts


class Picture(NamedTuple):
    """G(x) as ``output``, and the newly ``painted`` picture; they differ only with a recurrent generator's history."""

    output: Tensor
    painted: Tensor

    def detach(self) -> Picture:
        """Return a detached copy."""
        return Picture(*(t.detach() for t in self))


@dataclass
class MicroBatch:
    """A part of a step's batch: inputs ``x``, targets ``y``, and its ``share`` of the batch's examples, 0 to 1.

    ``seed``: seed of the dropout; None if torch has been seeded for this single part. ``weights``: pixel weights of the
    L1, (N, 1, H, W). ``earlier``: the frames before. ``picture``, ``detached``: G(x) with and without its graph.
    """

    x: Tensor
    y: Tensor
    share: float
    seed: int | None
    weights: Tensor | None = None
    earlier: PrecedingFrames | None = None
    picture: Picture | None = None  # with its graph
    detached: Picture | None = None


def split(x: Tensor, y: Tensor, weights: Tensor | None, count: int, seed: int) -> list[MicroBatch]:
    """Split a batch into at most ``count`` parts whose losses, each times its share, add up to the batch's."""
    w_parts = [None] * count if weights is None else weights.tensor_split(count)
    cut = zip(x.tensor_split(count), y.tensor_split(count), w_parts, strict=True)
    return [MicroBatch(a, b, len(a) / len(x), seed + i, w) for i, (a, b, w) in enumerate(cut) if len(a)]


def share_triples(parts: list[MicroBatch], earlier: PrecedingFrames, count: float, layout: torch.memory_format) -> None:
    """Assign its preceding frames to each part; ``count``: the number of triples of the step."""
    first = 0
    for part in parts:
        inside = earlier.within(first, first + len(part.x), of=count)
        part.earlier = inside and inside.to(part.x.device, layout)
        first += len(part.x)
