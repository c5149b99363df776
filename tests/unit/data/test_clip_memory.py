"""The frames of its clip that a next-frame model keeps: which they are, and which are like two frames of a film."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.core.errors import UsageError
from vidtrans.data.clip_memory import EXCLUDED_FRAMES, ClipMemory, MemoryPlan, to_thumbnail
from vidtrans.data.dataset import Pair
from vidtrans.data.loading import condition_position
from vidtrans.pairing.next_frame import NextFrame, NextFrameSettings


def pairs_of(lengths: list[int], pairing: NextFrame) -> list[Pair]:
    """The pairs of shots of so many frames, whose files are 'shot/frame'."""
    return [
        Pair(
            tuple(Path(f"{shot}/{number:06d}.png") for number in step.inputs),
            Path(f"{shot}/{step.target:06d}.png"),
            "train",
            (0, shot),
            place,
            step.phase,
        )
        for shot, length in enumerate(lengths)
        for place, step in enumerate(pairing.pair_positions(length))
    ]


@pytest.mark.parametrize(("length", "step", "context"), [(2, 1, 1), (9000, 20, 2)])
def test_frames_that_cannot_be_pointed_to_are_refused(length: int, step: int, context: int) -> None:
    pairing = NextFrame(NextFrameSettings(step, context, "nearest"))
    with pytest.raises(UsageError, match=f"no shot has {2 * step + 1} frames in a row"):
        MemoryPlan.of(pairs_of([length], pairing), 300, pairing, (64, 48))


def noise_clip(length: int) -> np.ndarray:
    return np.stack([scene(20, 16, seed=number) for number in range(length)])


@pytest.mark.parametrize("step", [2])
def test_the_most_alike_place_is_that_of_the_same_two_frames(step: int) -> None:
    memory = ClipMemory(noise_clip(24), (10, 14), step)
    size = memory.lows.shape[1:3]
    assert not set(memory.places.tolist()) & {0, 9, 10, 23}  # nothing lies before the first, and nothing after the last
    for place in memory.places.tolist():
        frames = [to_thumbnail(memory.pictures[at], size) for at in (place - step, place)]
        distances = memory.distances(*frames)
        assert memory.places[distances.argmin()] == place
        assert distances.min() == pytest.approx(0, abs=1e-5)
        half = np.zeros(size, np.float32)
        half[:, : size[1] // 2] = 1
        changed = [frame.copy() for frame in frames]
        for frame in changed:
            frame[:, size[1] // 2 :] = 0.7  # where it is not covered, which does not count
        assert np.allclose(memory.distances(*frames, half), memory.distances(*changed, half), atol=1e-5)
        assert memory.places[memory.distances(*changed, half).argmin()] == place
    assert [memory.follows(place) for place in (0, 9, 10, 23)] == [True, False, True, False]


def test_pairs_are_pointed_to_their_own_place_and_to_others_away_from_it() -> None:
    pairing, length = NextFrame(NextFrameSettings(1, 2, "nearest")), 60
    pairs = pairs_of([length], pairing)
    Path("0").mkdir()
    for number, picture in enumerate(noise_clip(length)):
        cv2.imwrite(f"0/{number:06d}.png", picture)
    plan = MemoryPlan.of(pairs, 300, pairing, None)
    memory = plan.memory
    assert memory.pictures.shape == (length, 16, 20, 3)
    assert plan.runs == (length,)
    assert [path.stem for path in memory.files][:2] == ["000000", "000001"]
    pointed = plan.pointed(pairs)
    for number, pair in enumerate(pointed, start=2):
        first, *others = (round(phase * 2 * (length - 1)) for phase in pair.nearest)
        assert first == number  # the target's own place
        assert others
        assert all(abs(other - number) > EXCLUDED_FRAMES for other in others)
        assert condition_position(pair) == pair.nearest[0]
