"""A step's batch in parts, each worked off at once: of several, memory holds but one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vidtrans.training.losses.base import PrecedingFrames


class Picture(NamedTuple):
    """G(x), and what was painted of it: the same, but for a generator with a memory, which keeps some of its past."""

    output: Tensor
    painted: Tensor

    def without_graph(self) -> Picture:
        """Return the same tensors, detached."""
        return Picture(*(t.detach() for t in self))


@dataclass
class Part:
    """``share`` of a step's batch. ``seed`` decides the dropout, ``weights`` are of each pixel's L1."""

    x: Tensor
    y: Tensor
    share: float
    seed: int
    weights: Tensor | None = None
    earlier: PrecedingFrames | None = None  # what came right before some of it
    picture: Picture | None = None  # with its graph, where it is kept
    constant: Picture | None = None  # without


def split(x: Tensor, y: Tensor, weights: Tensor | None, count: int, seed: int) -> list[Part]:
    """Cut a batch into ``count`` parts whose losses, each times its share, add up to the batch's."""
    weighed = [None] * count if weights is None else weights.tensor_split(count)
    cut = zip(x.tensor_split(count), y.tensor_split(count), weighed, strict=True)
    return [Part(a, b, len(a) / len(x), seed + i, w) for i, (a, b, w) in enumerate(cut) if len(a)]


def share_triples(parts: list[Part], earlier: PrecedingFrames, count: float, layout: torch.memory_format) -> None:
    """Give each part what came right before its pictures; ``count``: how many triples the step has."""
    first = 0
    for part in parts:
        inside = earlier.within(first, first + len(part.x), of=count)
        part.earlier = inside and inside.to(part.x.device, layout)
        first += len(part.x)
