"""Where a chain goes on when the clip ends."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vidtrans.data.dataset import Pair
from vidtrans.pairing.next_frame import NextFrame, NextFrameSettings
from vidtrans.training.chains import successors
from vidtrans.training.jumps import RUN, jumps

PERIOD = 24


def swinging(number: int) -> np.ndarray:
    """A disc that swings from left to right and back, PERIOD frames a swing."""
    frame = np.full((32, 64, 3), 60, np.uint8)
    at = 32 + 24 * math.sin(2 * math.pi * number / PERIOD)
    cv2.circle(frame, (round(16 * at), 16 * 16), 16 * 6, (230, 120, 40), -1, cv2.LINE_AA, shift=4)
    return frame


def pairs_of(lengths: list[int], context: int = 2) -> list[Pair]:
    """Of shots that go on from each other: the n-th frame of all is ``n.png``."""
    pairing, found, first = NextFrame(NextFrameSettings(1, context)), [], 0
    for shot, length in enumerate(lengths):
        for place, step in enumerate(pairing.steps(length)):
            inputs = tuple(Path(f"{first + i}.png") for i in step.inputs)
            found.append(Pair(inputs, Path(f"{first + step.target}.png"), "train", (0, shot), place))
        first += length
    return found


def number(path: Path) -> int:
    return int(path.stem)


def read(path: Path) -> np.ndarray:
    return swinging(number(path))


@given(st.lists(st.integers(2, 40), min_size=1, max_size=4), st.integers(1, 3))
def test_what_has_a_successor_keeps_it_and_the_rest_lands_where_it_can_go_on(lengths: list[int], context: int) -> None:
    pairs = pairs_of(lengths, context)
    after = successors(pairs, 1)
    joined = jumps(pairs, after, read)
    for index, following in enumerate(after):
        if following is not None:
            assert joined[index] == following
            continue
        landed = joined[index]
        if landed is None:
            assert max(lengths) <= context + RUN + 1  # no shot is long enough to land in
            continue
        for _ in range(RUN):
            landed = after[landed]
            assert landed is not None


def test_a_swing_goes_on_in_the_same_direction() -> None:
    """At half height twice a period, but only once on the way to the right: two frames tell."""
    pairs = pairs_of([3 * PERIOD + 1])
    joined = jumps(pairs, successors(pairs, 1), read)
    landed = joined[-1]
    assert landed is not None
    assert (number(pairs[landed].target) - number(pairs[-1].target) - 1) % PERIOD == 0
    assert abs(number(pairs[landed].target) - number(pairs[-1].target)) >= PERIOD - 1


def test_one_frame_of_context_is_enough_to_land_somewhere() -> None:
    pairs = pairs_of([30], context=1)
    assert None not in jumps(pairs, successors(pairs, 1), read)
