"""Ways through the kept frames of a clip: along it, and over to frames that are alike, to where a dream is to go.

As in Schödl et al., "Video Textures" (SIGGRAPH 2000), controlled: of all ways the one whose jumps are seen least.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np

from vidtrans.data.clip_memory import ClipMemory

WALK = 0.05  # cost of a frame along the clip: 20 frames are worth a jump of half the difference
STAY = 8  # frames that follow a jump before another
APART = 8.0  # cost of a jump that is short, or soon followed by an end
JUMP = 1.0  # cost of a jump, beside the logarithm of what the two places differ


class Ways:
    """Ways through a ``memory``. ``typical``: the usual mean squared difference of neighbours."""

    def __init__(self, memory: ClipMemory, typical: float) -> None:
        self.memory, self._typical = memory, typical
        self._next = lru_cache(maxsize=16)(self._find)

    def following(self, place: int, goal: frozenset[int]) -> int | None:
        """Return the place to go to from ``place``, towards a ``goal``'s places; None: along the clip."""
        number = int(np.abs(self.memory.places - place).argmin())
        hop = int(self._next(goal)[number])
        return None if hop < 0 else int(self.memory.places[hop])

    def nearest(self, place: int, goal: frozenset[int]) -> int:
        """Return the place of a goal that is most like ``place``, and neither there nor soon followed by an end."""
        places = self.memory.places
        number = int(np.abs(places - place).argmin())
        costs = self._differences[number] / self._typical + (self.memory.rooms < STAY) * APART
        costs = np.where(np.abs(places - place) < STAY, costs + APART, costs)
        costs = np.where([int(one) in goal for one in places], costs, np.inf)
        return int(places[costs.argmin()])

    @cached_property
    def _differences(self) -> np.ndarray:
        """Return the mean squared difference of each place's two frames from each other's, (n, n)."""
        flat = self.memory.lows.reshape(len(self.memory.lows), -1)
        squares = np.square(flat).sum(1)
        all_pairs = np.maximum(squares[:, None] - 2 * flat @ flat.T + squares, 0) / flat.shape[1]
        places, before = self.memory.places, self.memory.places - self.memory.step
        found: np.ndarray = (all_pairs[np.ix_(places, places)] + all_pairs[np.ix_(before, before)]) / 2
        return found

    def _find(self, goal: frozenset[int]) -> np.ndarray:
        """Return for each place the index of the one to jump to; -1: along the clip (Dijkstra's algorithm)."""
        places = self.memory.places
        index = {int(place): number for number, place in enumerate(places)}
        before = np.array([index.get(int(place) - self.memory.step, -1) for place in places])
        costs = np.where([int(place) in goal for place in places], 0.0, np.inf)
        hops = np.full(len(places), -1)
        jumps = JUMP + np.log2(1 + self._differences / self._typical)
        done = np.zeros(len(places), bool)
        for _ in range(len(places)):
            nearest = int(np.where(done, np.inf, costs).argmin())
            done[nearest] = True
            if not np.isfinite(costs[nearest]):
                break
            better = ~done & (costs[nearest] + jumps[:, nearest] < costs)
            costs[better], hops[better] = costs[nearest] + jumps[better, nearest], nearest
            one = before[nearest]
            if one >= 0 and not done[one] and costs[nearest] + WALK < costs[one]:
                costs[one], hops[one] = costs[nearest] + WALK, -1
        return hops
