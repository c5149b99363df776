"""The pointer: the position of a dream in its training clip, which advances and jumps between similar frames.

Conditioning on the successor of the *most similar* frame freezes a dream, because a frame is most similar to itself.
A pointer therefore advances by one frame each time, independently of the similarity.

To reach a goal, the pointer follows the path through the stored frames with the least visible jumps, as in controlled
video textures (Schödl et al., "Video Textures", SIGGRAPH 2000).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from vidtrans.data.clip_memory import ClipMemory, to_thumbnail
from vidtrans.data.moving_windows import frame_coverage, render_into_frame
from vidtrans.networks.frame_memory import sample_view

STEP_COST = 0.05  # Path cost per frame of advancing: 20 frames cost as much as doubling a jump's frame difference
MIN_JUMP_INTERVAL = 8  # Minimum number of frames between two jumps
BAD_JUMP_COST = 8.0  # Extra path cost of a jump to a frame nearby, or to a frame shortly before the end of a shot
JUMP_COST = 1.0  # Path cost of a jump; the binary logarithm of its relative frame difference is added
FREE_FRAMES, FADE_IN_FRAMES = 30, 30  # Frames of a dream without recall, and frames over which recall then rises
AGE_OF_CAMERA_MOVE = 3  # Frames by which a frame with a camera move raises the age of a dream; others raise it by 1
PULL = 0.3  # Share by which the low frequencies of a dream are moved to those of the frame at the pointer
MIN_JUMP_LENGTH = 30  # Minimum distance of a jump along the clip, in frames
# A dream is lost if its difference from the frame at the pointer is more than this multiple of its difference from the
# most similar stored frame.
LOST_RATIO = 3.0
CHECK_INTERVAL = 4  # Number of frames between two checks whether the dream is lost
MIN_DIFFERENCE = 1e-4  # Mean squared difference (range [-1, 1]) below which two frames count as equal
WHOLE_VIEW = np.eye(3)  # Camera view, (3, 3), of a whole frame: the identity
NUM_JUMP_CANDIDATES = 4  # Number of most similar frames from which the target of a random jump is drawn


class TransitionPaths:
    """Finds the paths with the least visible jumps between a clip's stored frames (``memory``).

    ``typical``: four times the median mean squared difference of consecutive frames, the unit of jump costs.
    """

    def __init__(self, memory: ClipMemory, typical: float) -> None:
        self.memory, self._typical = memory, typical
        self._jumps_to = lru_cache(maxsize=16)(self._shortest_paths)

    def next_jump(self, place: int, goal: frozenset[int]) -> int | None:
        """Return the frame to jump to from frame ``place`` on the path to a ``goal``; None to advance."""
        number = int(np.abs(self.memory.places - place).argmin())
        jump = int(self._jumps_to(goal)[number])
        return None if jump < 0 else int(self.memory.places[jump])

    def most_similar(self, place: int, goal: frozenset[int]) -> int:
        """Return the goal's frame most similar to frame ``place``, neither near it nor shortly before a shot's end."""
        places = self.memory.places
        number = int(np.abs(places - place).argmin())
        costs = self._differences[number] / self._typical + (self.memory.rooms < MIN_JUMP_INTERVAL) * BAD_JUMP_COST
        costs = np.where(np.abs(places - place) < MIN_JUMP_INTERVAL, costs + BAD_JUMP_COST, costs)
        costs = np.where([int(one) in goal for one in places], costs, np.inf)
        return int(places[costs.argmin()])

    @cached_property
    def _differences(self) -> np.ndarray:
        """Return the difference of each pair of stored frames, (n, n).

        It is the mean of two mean squared differences: of the frames, and of the frames before them in the clip.
        """
        flat = self.memory.lows.reshape(len(self.memory.lows), -1)
        squares = np.square(flat).sum(1)
        all_pairs = np.maximum(squares[:, None] - 2 * flat @ flat.T + squares, 0) / flat.shape[1]
        places, before = self.memory.places, self.memory.places - self.memory.step
        found: np.ndarray = (all_pairs[np.ix_(places, places)] + all_pairs[np.ix_(before, before)]) / 2
        return found

    def _shortest_paths(self, goal: frozenset[int]) -> np.ndarray:
        """Return each stored frame's next jump on the shortest path to a goal (Dijkstra), (n,) int.

        A jump is given by the index of the stored frame to jump to; −1 means to advance by one frame.
        """
        places = self.memory.places
        index = {int(place): number for number, place in enumerate(places)}
        before = np.array([index.get(int(place) - self.memory.step, -1) for place in places])
        costs = np.where([int(place) in goal for place in places], 0.0, np.inf)
        hops = np.full(len(places), -1)
        jumps = JUMP_COST + np.log2(1 + self._differences / self._typical)
        done = np.zeros(len(places), bool)
        for _ in range(len(places)):
            nearest = int(np.where(done, np.inf, costs).argmin())
            done[nearest] = True
            if not np.isfinite(costs[nearest]):
                break
            better = ~done & (costs[nearest] + jumps[:, nearest] < costs)
            costs[better], hops[better] = costs[nearest] + jumps[better, nearest], nearest
            one = before[nearest]
            if one >= 0 and not done[one] and costs[nearest] + STEP_COST < costs[one]:
                costs[one], hops[one] = costs[nearest] + STEP_COST, -1
        return hops


@dataclass(frozen=True)
class PointerState:
    """The state of a pointer: number of the stored frame, frames since the last jump, and frames since the start."""

    place: int
    since: int = 0
    age: int = 0

    @property
    def share(self) -> float:
        """Return the factor, 0 to 1, on the influence of the stored frames (recall).

        It is 0 at the start of a dream, and rises later to keep the dream from freezing.
        """
        return min(1.0, max(0.0, (self.age - FREE_FRAMES) / FADE_IN_FRAMES))

    def after_camera_move(self) -> PointerState:
        """Return the state with an age that is increased for a camera move, so that recall begins earlier."""
        return replace(self, age=self.age + AGE_OF_CAMERA_MOVE - 1)


class Pointer:
    """Moves a position along the stored frames ``memory`` of a clip; ``seed``: random seed of its jumps."""

    def __init__(self, memory: ClipMemory, seed: int) -> None:
        self.memory, self._seed = memory, seed
        self._inverse_view = lru_cache(maxsize=4)(_inverse_view)

    def find(self, frames: list[Tensor], view: np.ndarray = WHOLE_VIEW) -> PointerState:
        """Return the state at the stored frame that is most similar to the newest of a dream's ``frames``.

        ``frames``: oldest first, (3, H, W) float32 in [-1, 1]. ``view`` (3, 3): their camera view of the clip's frames,
        see ``normalised``.
        """
        distances = self._distances(frames, view)
        return PointerState(int(self.memory.places[distances.argmin()]))

    def advance(
        self,
        at: PointerState,
        frames: list[Tensor],
        frame: int,
        wander: float,
        view: np.ndarray = WHOLE_VIEW,
        goal: int | str | None = None,
    ) -> PointerState:
        """Return the state one frame later: the next frame of the clip, or a jump to a similar one.

        ``wander``: frequency of random jumps, 0 to 1. ``goal``: the shot, or the action, to reach and to stay in.
        """
        if goal is not None and (places := self.memory.goals.get(goal)):
            return self._advance_to_goal(places, at)
        step = self.memory.step
        place = at.place + step if self.memory.follows(at.place) else at.place
        since, age = at.since + 1, at.age + 1
        if not self.memory.follows(place):
            return PointerState(self._jump_target(place, self._distances(frames, view), None), age=age)
        rng = np.random.Generator(np.random.Philox(key=(self._seed << 64) + frame))
        is_wandering = wander > 0 and rng.random() < wander**2
        if at.since < MIN_JUMP_INTERVAL or not (is_wandering or age % CHECK_INTERVAL == 0):
            return PointerState(place, since, age)
        distances = self._distances(frames, view)
        if self._is_lost(place, distances):
            return PointerState(self._jump_target(place, distances, None), age=age)
        if is_wandering and self._is_near(place, distances):
            return PointerState(self._jump_target(place, distances, rng), age=age)
        return PointerState(place, since, age)

    def _advance_to_goal(self, goal: frozenset[int], at: PointerState) -> PointerState:
        """Return the state one frame later, on the path to a goal or within it."""
        place, since, age = at.place + self.memory.step, at.since + 1, max(at.age + 1, FREE_FRAMES + FADE_IN_FRAMES)
        continues = self.memory.follows(at.place) and self.memory.follows(place)
        if continues and place in goal:
            return PointerState(place, since, age)
        if not continues or at.place in goal:  # The shot ends, or the next frame is outside of the goal
            return PointerState(self._paths.most_similar(place, goal), age=age)
        if (jump := self._paths.next_jump(place, goal)) is None:
            return PointerState(place, since, age)
        return PointerState(jump, age=age)

    @cached_property
    def _paths(self) -> TransitionPaths:
        """Return the shortest paths between the stored frames."""
        return TransitionPaths(self.memory, self._typical)

    def _is_lost(self, place: int, distances: np.ndarray) -> bool:
        """Return whether the dream differs far more from the frame ``place`` than from the most similar stored frame.

        ``distances``: see ``_distances``.
        """
        here = distances[np.abs(self.memory.places - place).argmin()]
        return bool(here > LOST_RATIO * distances.min() and distances.min() <= self._typical)

    def _is_near(self, place: int, distances: np.ndarray) -> bool:
        """Return whether a jump from frame ``place`` to a stored frame would hardly be visible."""
        away = self._jump_distances(place, distances)
        return bool(away.min() < 2 * max(self._typical, float(distances.min())))

    def _jump_target(self, place: int, distances: np.ndarray, rng: np.random.Generator | None) -> int:
        """Return a similar frame to jump to: the most similar one, or with ``rng`` a random one of the most similar."""
        away = self._jump_distances(place, distances)
        number = 0 if rng is None else int(rng.integers(min(NUM_JUMP_CANDIDATES, len(away))))
        return int(self.memory.places[away.argsort()[number]])

    def _jump_distances(self, place: int, distances: np.ndarray) -> np.ndarray:
        """Return the distances of all stored frames, larger for frames nearby or shortly before a shot's end."""
        reach = min(MIN_JUMP_LENGTH, len(distances) // 4)
        is_near = np.abs(self.memory.places - place) < reach
        ending = self.memory.rooms < MIN_JUMP_INTERVAL
        return distances + (4 * distances.max() + 1) * (is_near * 2.0 + ending)

    @cached_property
    def _typical(self) -> float:
        """Return four times the median of the mean squared differences of consecutive frames in the clip."""
        steps = np.square(np.diff(self.memory.lows, axis=0)).mean((1, 2, 3))
        return max(MIN_DIFFERENCE, 4 * float(np.median(steps)))

    def _distances(self, frames: list[Tensor], view: np.ndarray) -> np.ndarray:
        """Return the difference of the dream's two newest frames from each stored frame and its predecessor, (n,)."""
        pair = [self._align_low(frame, view) for frame in frames[-2:]]
        return self.memory.distances(pair[0][0], pair[-1][0], pair[-1][1])

    def _align_low(self, frame: Tensor, view: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return a frame's thumbnail in the clip's coordinates, and the mask of the area that it covers.

        The mask is None if ``view`` is the whole frame.
        """
        height, width = self.memory.lows.shape[1:3]
        picture = np.ascontiguousarray(frame.permute(1, 2, 0).cpu().numpy())
        if np.array_equal(view, WHOLE_VIEW):
            return to_thumbnail(picture, (height, width)), None
        inverse, covered = self._inverse_view(view.tobytes(), (width, height))
        return render_into_frame(picture, inverse, (width, height)), covered

    def phase(self, at: PointerState) -> float:
        """Return the clock phase, in turns, of the frame that follows the state ``at``."""
        return self.memory.phase(at.place + self.memory.step)

    def pull(self, picture: Tensor, at: PointerState, recall: float, view: np.ndarray = WHOLE_VIEW) -> Tensor:
        """Move the low frequencies of a picture, (3, H, W) in [-1, 1], towards those of the stored frame after ``at``.

        ``recall``: the factor, 0 to 1, on this move. ``view``: see ``find``.
        """
        present, covered = self._align_low(picture, view)
        missing = self.memory.lows[at.place + self.memory.step] - present
        if covered is not None:
            missing *= covered[..., None]
        planes = torch.from_numpy(missing).to(picture.device).permute(2, 0, 1)[None]
        rows = torch.from_numpy(view[None, :2].astype(np.float32)).to(picture.device)
        planes = sample_view(planes, rows, *picture.shape[1:])[0]
        return (picture + PULL * recall * planes).clamp(-1, 1)


def _inverse_view(view: bytes, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverse of a camera view (3, 3), and the mask of the clip's frame area that the view covers.

    ``view``: the bytes of the matrix, float64, which can be keys of a cache. ``size``: the (width, height) of the mask.
    """
    inverse = np.linalg.inv(np.frombuffer(view).reshape(3, 3))
    return inverse, frame_coverage(inverse, size)
