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


def memory(**named: frozenset[int]) -> ClipMemory:
    """Two shots of 30 frames; frame 20 of the first is frame 8 of the second, and the same are those around it."""
    first = np.stack(moving_frames(30))
    second = np.roll(np.stack(moving_frames(60))[30:], 9, axis=2)[..., ::-1].copy()
    second[6:11] = first[18:23]
    return ClipMemory(np.concatenate([first, second]), (30, 30), 1, (1, 2), actions=named)


def steer(pointer: Pointer, goal: int | str, begin: int, count: int = 60) -> list[int]:
    at, places = Pointing(begin), []
    frames = [torch.zeros((3, 48, 64))] * 2
    for number in range(count):
        at = pointer.go_on(at, frames, number, 0.0, goal=goal)
        places.append(at.place)
    return places


@pytest.mark.parametrize("begin", [1, 15, 27, 28])
def test_it_arrives_from_anywhere_and_stays(begin: int) -> None:
    assert all(place < 30 for place in steer(Pointer(memory(), 0), 1, begin)[5:])
    assert all(place >= 30 for place in steer(Pointer(memory(), 0), 2, begin)[40:])


def test_an_action_is_gone_to_and_gone_on_with() -> None:
    acts = frozenset(range(10, 16)) | frozenset(range(40, 46))
    pointer = Pointer(memory(act=acts), 0)
    assert set(pointer.memory.goals) == {1, 2, "act"}
    places = steer(pointer, "act", begin=1)
    assert sum(place in acts for place in places[12:]) > 0.8 * len(places[12:])
