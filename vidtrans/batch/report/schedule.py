"""How long tasks take on so many workers: a simulation, from seconds that were measured."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Farm:
    """So many ``workers``, each of which takes ``start_s`` to begin.

    Each task costs a worker ``task_s`` beside its own seconds, and the process that gives them out ``dispatch_s``,
    during which that gives out no other.
    """

    workers: int
    start_s: float = 0.0
    task_s: float = 0.0
    dispatch_s: float = 0.0


def finish_s(tasks: Sequence[float], farm: Farm) -> float:
    """Return after how many seconds all tasks are done, given out in this order to whoever is free first.

    That is Graham's list scheduling (1966): at most twice what the best order would take.
    """
    free = [farm.start_s] * min(farm.workers, len(tasks))
    heapq.heapify(free)
    dispatched = ended = 0.0
    for seconds in tasks:
        dispatched = max(dispatched, heapq.heappop(free)) + farm.dispatch_s
        done = dispatched + farm.task_s + seconds
        heapq.heappush(free, done)
        ended = max(ended, done)
    return ended
