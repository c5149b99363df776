"""A pointer to the frame of its clip that a dream is at: it goes on along the clip, and jumps to frames that are alike.

Pulling towards what follows the *most alike* frame stops a dream: a frame is most like itself, and so the dream stays
there. A pointer with inertia moves on by a frame each time, whatever is alike.

A way through the kept frames goes along the clip, and over to frames that are alike, to where a dream is to go, as in
Schödl et al., "Video Textures" (SIGGRAPH 2000), controlled: of all ways the one whose jumps are seen least.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from vidtrans.data.clip_memory import ClipMemory, low
from vidtrans.data.moving_windows import covered_by, place_in
from vidtrans.networks.frame_memory import seen

WALK = 0.05  # cost of a frame along the clip: 20 frames are worth a jump of half the difference
STAY = 8  # frames that follow a jump before another
APART = 8.0  # cost of a jump that is short, or soon followed by an end
JUMP = 1.0  # cost of a jump, beside the logarithm of what the two places differ
FREE, PASSAGE = 30, 30  # frames that a dream goes on without its clip, and in which it passes over to it
MOVED = 3  # frames that one counts for in which the camera moves
PULL = 0.3  # share by which the low frequencies of a dream go to those of the frame that is pointed to
AWAY = 30  # frames from which a jump lands at least
# A dream is elsewhere if its distance to the frame that it points to is this multiple of that to the most alike frame.
LOST = 3.0
CHECKED = 4  # frames between two checks whether the dream is elsewhere
STILL = 1e-4  # mean squared difference below which two frames are the same
WHOLE_VIEW = np.eye(3)
CHOICE = 4  # most alike frames of which a jump without need takes one


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


@dataclass(frozen=True)
class Pointing:
    """Where a dream is: at kept frame number ``place``, since ``since`` frames without a jump, ``age`` in all."""

    place: int
    since: int = 0
    age: int = 0

    @property
    def share(self) -> float:
        """Return how far the clip counts, 0 to 1: a dream foretells on its own at first, and would stop later."""
        return min(1.0, max(0.0, (self.age - FREE) / PASSAGE))

    def aged(self) -> Pointing:
        """Return it as after a frame in which the camera moved: what comes into view is not to be foretold."""
        return replace(self, age=self.age + MOVED - 1)


class Pointer:
    """A pointer along the frames of a ``memory``. ``seed`` decides, with the frame's number, where it wanders."""

    def __init__(self, memory: ClipMemory, seed: int) -> None:
        self.memory, self._seed = memory, seed
        self._placing = lru_cache(maxsize=4)(_placing)

    def find(self, frames: list[Tensor], view: np.ndarray = WHOLE_VIEW) -> Pointing:
        """Return the place most like the newest of ``frames``, (3, H, W) float32 in [-1, 1], oldest first.

        ``view`` (3, 3): what they see of the clip's frames, see ``normalised``.
        """
        distances = self._distances(frames, view)
        return Pointing(int(self.memory.places[distances.argmin()]))

    def go_on(
        self,
        at: Pointing,
        frames: list[Tensor],
        frame: int,
        wander: float,
        view: np.ndarray = WHOLE_VIEW,
        goal: int | str | None = None,
    ) -> Pointing:
        """Return the place after another frame was dreamt.

        ``wander``: how soon it leaves the clip's order, 0 to 1. ``goal``: the shot, or the action, that it goes to, and
        stays in.
        """
        if goal is not None and (places := self.memory.goals.get(goal)):
            return self._towards(places, at)
        step = self.memory.step
        place = at.place + step if self.memory.follows(at.place) else at.place
        since, age = at.since + 1, at.age + 1
        if not self.memory.follows(place):
            return Pointing(self._jump(place, self._distances(frames, view), None), age=age)
        rng = np.random.Generator(np.random.Philox(key=(self._seed << 64) + frame))
        leaves = wander > 0 and rng.random() < wander**2
        if at.since < STAY or not (leaves or age % CHECKED == 0):
            return Pointing(place, since, age)
        distances = self._distances(frames, view)
        if self._is_lost(place, distances):
            return Pointing(self._jump(place, distances, None), age=age)
        if leaves and self._is_near(place, distances):
            return Pointing(self._jump(place, distances, rng), age=age)
        return Pointing(place, since, age)

    def _towards(self, goal: frozenset[int], at: Pointing) -> Pointing:
        """Return the place after another frame of a way to a goal, or in it."""
        place, since, age = at.place + self.memory.step, at.since + 1, max(at.age + 1, FREE + PASSAGE)
        goes_on = self.memory.follows(at.place) and self.memory.follows(place)
        if goes_on and place in goal:
            return Pointing(place, since, age)
        if not goes_on or at.place in goal:  # it ends, or would leave the goal: to a place like the next one
            return Pointing(self._ways.nearest(place, goal), age=age)
        if (jump := self._ways.following(place, goal)) is None:
            return Pointing(place, since, age)
        return Pointing(jump, age=age)

    @cached_property
    def _ways(self) -> Ways:
        return Ways(self.memory, self._typical)

    def _is_lost(self, place: int, distances: np.ndarray) -> bool:
        here = distances[np.abs(self.memory.places - place).argmin()]
        return bool(here > LOST * distances.min() and distances.min() <= self._typical)

    def _is_near(self, place: int, distances: np.ndarray) -> bool:
        away = self._away(place, distances)
        return bool(away.min() < 2 * max(self._typical, float(distances.min())))

    def _jump(self, place: int, distances: np.ndarray, rng: np.random.Generator | None) -> int:
        """Return a place away from here that is most alike; with ``rng``, one of a few."""
        away = self._away(place, distances)
        number = 0 if rng is None else int(rng.integers(min(CHOICE, len(away))))
        return int(self.memory.places[away.argsort()[number]])

    def _away(self, place: int, distances: np.ndarray) -> np.ndarray:
        """Return the distances, larger where a jump would be short, or soon followed by the end of a run."""
        reach = min(AWAY, len(distances) // 4)
        unwanted = np.abs(self.memory.places - place) < reach
        ending = self.memory.rooms < STAY
        return distances + (4 * distances.max() + 1) * (unwanted * 2.0 + ending)

    @cached_property
    def _typical(self) -> float:
        """Return the usual mean squared difference of neighbours in the clip, times four."""
        steps = np.square(np.diff(self.memory.lows, axis=0)).mean((1, 2, 3))
        return max(STILL, 4 * float(np.median(steps)))

    def _distances(self, frames: list[Tensor], view: np.ndarray) -> np.ndarray:
        pair = [self._low(frame, view) for frame in frames[-2:]]
        return self.memory.distances(pair[0][0], pair[-1][0], pair[-1][1])

    def _low(self, frame: Tensor, view: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return a frame where it lies in the clip's, at the size of the comparison, and what of this it covers."""
        height, width = self.memory.lows.shape[1:3]
        picture = np.ascontiguousarray(frame.permute(1, 2, 0).cpu().numpy())
        if np.array_equal(view, WHOLE_VIEW):
            return low(picture, (height, width)), None
        back, covered = self._placing(view.tobytes(), (width, height))
        return place_in(picture, back, (width, height)), covered

    def phase(self, at: Pointing) -> float:
        """Return the position of the frame that follows ``at``."""
        return self.memory.phase(at.place + self.memory.step)

    def pulled(self, picture: Tensor, at: Pointing, recall: float, view: np.ndarray = WHOLE_VIEW) -> Tensor:
        """Return a dreamt picture, (3, H, W) float32 in [-1, 1], pulled to the low frequencies of the next frame."""
        present, covered = self._low(picture, view)
        lacking = self.memory.lows[at.place + self.memory.step] - present
        if covered is not None:
            lacking *= covered[..., None]
        planes = torch.from_numpy(lacking).to(picture.device).permute(2, 0, 1)[None]
        rows = torch.from_numpy(view[None, :2].astype(np.float32)).to(picture.device)
        planes = seen(planes, rows, *picture.shape[1:])[0]
        return (picture + PULL * recall * planes).clamp(-1, 1)


def _placing(view: bytes, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the map from places of a clip's frame to those of a view (3, 3), and what of the frame this covers."""
    back = np.linalg.inv(np.frombuffer(view).reshape(3, 3))
    return back, covered_by(back, size)
