"""The pointer of a dream: it goes on along the clip, jumps at its ends and where it is lost, and is the same again."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from clips import moving_frames, scene

from vidtrans.data.clip_memory import ClipMemory
from vidtrans.dreaming.pointer import CHECKED, PULL, STAY, Pointer, Pointing


def frame(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1) / 127.5 - 1


def pointer(length: int = 120, runs: tuple[int, ...] | None = None, seed: int = 0) -> Pointer:
    """Of a clip whose every half is like the other."""
    half = moving_frames(length // 2)
    return Pointer(ClipMemory(np.stack([*half, *half]), runs or (length,)), seed)


def walk(points: Pointer, count: int, wander: float = 0.0, begin: int = 5) -> list[int]:
    """The places of a dream that shows what is pointed to."""
    pictures = points.memory.pictures
    at, places = points.find([frame(pictures[begin - 1]), frame(pictures[begin])]), []
    for number in range(count):
        places.append(at.place)
        frames = [frame(pictures[at.place]), frame(pictures[at.place + 1])]
        at = points.go_on(at, frames, number, wander)
    return places


def test_it_begins_where_the_frames_are_most_alike_and_goes_on_by_a_frame() -> None:
    places = walk(pointer(), 40)
    assert places[0] in (5, 65)
    assert set(np.diff(places)) == {1}


def test_at_the_end_of_a_run_it_jumps_to_what_is_alike_and_far_from_there() -> None:
    points = pointer(runs=(60, 60))
    places = walk(points, 200)
    jumps = [(a, b) for a, b in pairwise(places) if b != a + 1]
    assert len(jumps) >= 2
    assert all(abs(a - b) >= 28 for a, b in jumps)
    assert {a for a, _ in jumps} <= {57, 58, 117, 118}


def test_the_more_it_wanders_the_sooner_it_leaves_the_order_and_never_at_once() -> None:
    points = pointer()
    jumps = [int((np.diff(walk(points, 100, wander)) != 1).sum()) for wander in (0.0, 0.3, 1.0)]
    assert jumps[0] <= 1
    assert jumps[0] < jumps[1] < jumps[2]
    leaps = np.flatnonzero(np.diff(walk(points, 100, 1.0)) != 1)
    assert np.diff(leaps).min() >= STAY


def test_a_dream_that_is_elsewhere_is_followed() -> None:
    points = Pointer(ClipMemory(np.stack([scene(40, 32, seed=n // 20) for n in range(100)]), (100,)), 0)
    pictures = points.memory.pictures
    at = points.go_on(Pointing(5, STAY, CHECKED - 1), [frame(pictures[89]), frame(pictures[90])], 0, 0.0)
    assert 80 <= at.place < 100


def test_a_picture_is_pulled_to_the_colours_of_the_next_frame_and_keeps_its_detail() -> None:
    points = pointer()
    at = Pointing(20)
    aim = frame(points.memory.pictures[21])
    other = torch.zeros_like(aim)
    other[:, ::2, ::2] = 0.4
    pulled = points.pulled(other, at, 1.0)
    assert torch.equal(points.pulled(other, at, 0.0), other)
    assert float((pulled - other).mean()) == pytest.approx(PULL * float((aim - other).mean()), abs=0.01)
    fine = lambda x: (x[:, 8:-8:2, 8:-8:2] - x[:, 9:-7:2, 9:-7:2]).mean()  # noqa: E731
    assert float(fine(pulled)) == pytest.approx(0.4, abs=0.05)


def test_a_memory_of_a_few_frames_is_enough() -> None:
    points = Pointer(ClipMemory(np.stack(moving_frames(4)), (4,)), 0)
    places = walk(points, 20, 1.0, begin=1)
    assert set(places) <= {1, 2}
