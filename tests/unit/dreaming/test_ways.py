"""Ways from shot to shot: along the clip, and over where frames are alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clips import moving_frames

from vidtrans.data.clip_memory import ClipMemory
from vidtrans.dreaming.pointer import STAY, Pointer, Pointing


def memory(**named: frozenset[int]) -> ClipMemory:
    """Two shots of 30 frames; frame 20 of the first is frame 8 of the second, and the same are those around it."""
    first = np.stack(moving_frames(30))
    second = np.roll(np.stack(moving_frames(60))[30:], 9, axis=2)[..., ::-1].copy()
    second[6:11] = first[18:23]
    return ClipMemory(np.concatenate([first, second]), (30, 30), 1, (1, 2), actions=named)


def walk(pointer: Pointer, goal: int | str, begin: int, count: int = 60) -> list[int]:
    at, places = Pointing(begin), []
    frames = [torch.zeros((3, 48, 64))] * 2
    for number in range(count):
        at = pointer.go_on(at, frames, number, 0.0, goal=goal)
        places.append(at.place)
    return places


def test_it_goes_over_where_two_shots_are_alike() -> None:
    places = walk(Pointer(memory(), 0), 2, begin=3)
    jump = next(n for n in range(1, len(places)) if places[n] >= 30)
    assert places[:jump] == list(range(4, 4 + jump))
    assert places[jump - 1] in range(17, 23)
    assert places[jump] in range(36, 41)
    assert min(places[jump:]) >= 31  # it stays there
    assert max(places[jump:]) <= 58


@pytest.mark.parametrize("begin", [1, 15, 27, 28])
def test_it_arrives_from_anywhere_and_stays(begin: int) -> None:
    assert all(place < 30 for place in walk(Pointer(memory(), 0), 1, begin)[5:])
    assert all(place >= 30 for place in walk(Pointer(memory(), 0), 2, begin)[40:])


def test_an_action_is_gone_to_and_gone_on_with() -> None:
    acts = frozenset(range(10, 16)) | frozenset(range(40, 46))
    pointer = Pointer(memory(act=acts), 0)
    assert set(pointer.memory.goals) == {1, 2, "act"}
    places = walk(pointer, "act", begin=1)
    assert sum(place in acts for place in places[12:]) > 0.8 * len(places[12:])


def test_where_nothing_is_as_wanted_it_goes_its_own_way() -> None:
    pointer = Pointer(memory(), 0)
    assert walk(pointer, "unknown", begin=STAY, count=5) == [STAY + n for n in range(1, 6)]
