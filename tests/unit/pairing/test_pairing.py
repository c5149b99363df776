"""The pairings one by one; what all of them promise is in test_registries.py."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import moving_frames, scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.errors import UsageError
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.aligned import Aligned, AlignedSettings
from vidtrans.pairing.base import PairPositions, input_frames, make_pairing, pairing_record
from vidtrans.pairing.edges import Edges, EdgesSettings
from vidtrans.pairing.next_frame import NextFrame, NextFrameSettings

repeatable = hypothesis_settings(max_examples=60)


def square(size: int = 48) -> np.ndarray:
    """A bright square on black, (size, size, 3) uint8."""
    picture = np.zeros((size, size, 3), np.uint8)
    picture[size // 4 : -size // 4, size // 4 : -size // 4] = 200
    return picture


# Edges


def test_lines_are_white_on_black_and_lie_on_the_outline() -> None:
    lines = Edges(EdgesSettings()).input([square()])
    assert set(np.unique(lines)) == {0, 255}
    found = np.argwhere(lines[..., 0])
    outline = [
        p for p in np.ndindex(48, 48) if min(abs(p[0] - 12), abs(p[0] - 35), abs(p[1] - 12), abs(p[1] - 35)) <= 2
    ]
    assert {tuple(p) for p in found.tolist()} <= set(outline)
    assert len(found) > 3 * 20  # three of its four sides at least, 24 pixels each


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_flat_picture_stays_empty(level: int) -> None:
    for soft in (False, True):
        assert not Edges(EdgesSettings(gradient_channel=soft)).input([np.full((32, 32, 3), level, np.uint8)]).any()


def test_faint_noise_below_the_floor_starts_no_line() -> None:
    noise = np.random.default_rng(0).integers(100, 103, (48, 48, 3), dtype=np.uint8)
    assert not Edges(EdgesSettings()).input([noise]).any()
    assert Edges(EdgesSettings(min_gradient=0.0)).input([noise]).any()


def test_thresholds_follow_the_pictures_contrast() -> None:
    picture = scene(96, 80, seed=2)
    dim = (picture // 2).astype(np.uint8)
    lines, dim_lines = (Edges(EdgesSettings(min_gradient=0.0)).input([p]) for p in (picture, dim))
    assert (lines == dim_lines).mean() > 0.9


def test_more_density_gives_more_lines_and_more_blur_fewer() -> None:
    picture = scene(96, 80, seed=1)
    picture[::3, ::3] = 255
    shares = [float((Edges(EdgesSettings(density=d)).input([picture]) > 0).mean()) for d in (0.02, 0.1, 0.4)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]
    sharp, blurred = ((Edges(EdgesSettings(sigma=b)).input([picture]) > 0).mean() for b in (0.0, 4.0))
    assert blurred < sharp


def test_the_soft_channel_is_the_strength_beside_the_same_lines() -> None:
    picture = scene(96, 80, seed=3)
    soft, hard = Edges(EdgesSettings(gradient_channel=True)), Edges(EdgesSettings())
    made = soft.input([picture])
    assert (hard.in_channels, soft.in_channels) == (1, 2)
    assert np.array_equal(made[..., :1], hard.input([picture]))
    strength = made[..., 1].astype(int)
    assert strength.max() == 255
    assert strength[made[..., 0] > 0].mean() > strength[made[..., 0] == 0].mean()


def test_the_input_does_not_change_when_the_picture_is_mirrored() -> None:
    """Augmentation makes the input from the mirrored frame: it must be the mirrored input, borders included."""
    picture = cv2.GaussianBlur(scene(64, 48, seed=5), (0, 0), 1)
    pairing = Edges(EdgesSettings(gradient_channel=True))
    mirrored = pairing.input([np.ascontiguousarray(picture[:, ::-1])])[:, ::-1]
    plain = pairing.input([picture])
    assert np.array_equal(mirrored[..., 1], plain[..., 1])
    assert (mirrored[..., 0] == plain[..., 0]).mean() > 0.98


# Next frame


def test_next_frame_sees_the_past_and_predicts_what_follows() -> None:
    plain = NextFrame(NextFrameSettings())
    assert list(plain.pair_positions(4)) == [PairPositions((0,), 1), PairPositions((1,), 2), PairPositions((2,), 3)]
    wide = NextFrame(NextFrameSettings(step=2, context_frames=3))
    assert list(wide.pair_positions(8)) == [PairPositions((0, 2, 4), 6), PairPositions((1, 3, 5), 7)]
    assert wide.min_frames == 7
    assert wide.in_channels == 9


@repeatable
@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 40))
def test_next_frame_uses_every_place_in_the_shot_where_it_fits(step: int, context: int, num_frames: int) -> None:
    pairing = NextFrame(NextFrameSettings(step=step, context_frames=context))
    steps = list(pairing.pair_positions(num_frames))
    assert len(steps) == max(0, num_frames - step * context)
    for made in steps:
        assert np.diff([*made.inputs, made.target]).tolist() == [step] * context
    assert bool(steps) == (num_frames >= pairing.min_frames)


@repeatable
@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 50), st.integers(0, 30))
def test_at_a_shots_start_its_first_frame_stands_in_for_the_past(
    step: int, context: int, first: int, after: int
) -> None:
    history = input_frames(NextFrame(NextFrameSettings(step=step, context_frames=context)), first + after, first)
    assert history == tuple(max(first, first + after - k * step) for k in range(context - 1, -1, -1))


def test_past_frames_are_stacked_oldest_first() -> None:
    frames = [np.full((4, 5, 3), v, np.uint8) for v in (1, 2, 3)]
    made = NextFrame(NextFrameSettings(context_frames=3)).input(frames)
    assert made[0, 0].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]


# Aligned


def test_an_aligned_input_is_the_frame_itself() -> None:
    pairing, frame = Aligned(AlignedSettings()), scene(20, 16, 0)
    assert pairing.needs_target
    assert np.array_equal(pairing.input([frame]), frame)
    assert list(pairing.pair_positions(2)) == [PairPositions((0,), 0), PairPositions((1,), 1)]


# By name


@pytest.mark.parametrize("name", PAIRINGS)
def test_a_pairing_is_made_by_name_with_the_settings_of_a_table(name: str) -> None:
    made = make_pairing(name, {})
    assert made.name == name
    assert pairing_record(made)["name"] == name
    with pytest.raises(UsageError, match=r"pairing\.sofft"):
        make_pairing(name, {"sofft": True})


def test_a_pairings_table_is_checked() -> None:
    assert make_pairing("edges", {"gradient_channel": True}).in_channels == 2
    with pytest.raises(UsageError, match=r"pairing\.context_frames = 5"):
        make_pairing("next-frame", {"context_frames": 5})
    with pytest.raises(UsageError, match="AtoB, BtoA"):
        make_pairing("aligned", {"direction": "AtoC"})
    with pytest.raises(UsageError, match="did you mean 'edges'"):
        make_pairing("edge", {})


@pytest.mark.parametrize("name", list(PAIRINGS))
def test_the_input_does_not_depend_on_where_in_memory_the_frame_lies(name: str) -> None:
    """OpenCV's magnitude did: a render differed from run to run in one frame of a hundred."""
    pairing = make_pairing(name, {"gradient_channel": True} if name == "edges" else {})
    frame = moving_frames(1, size=(171, 96))[0]
    wanted = pairing.input([frame])
    for offset in range(64):
        room = np.empty(frame.nbytes + 64, np.uint8)
        moved = room[offset : offset + frame.nbytes].reshape(frame.shape)
        moved[...] = frame
        held = [np.empty(1000 + 7 * offset, np.uint8) for _ in range(3)]  # moves what is allocated inside, too
        assert np.array_equal(pairing.input([moved]), wanted)
        del held


@pytest.mark.parametrize("name", list(PAIRINGS))
def test_the_input_does_not_depend_on_the_number_of_threads(name: str) -> None:
    """Edges did, in one of these pictures: OpenCV's Canny rounds thresholds otherwise where it has a single thread."""
    pairing, rng, before = make_pairing(name, {}), np.random.default_rng(2), cv2.getNumThreads()
    noise = rng.integers(0, 256, (24, 180, 276, 3), np.uint8)
    frames = [cv2.GaussianBlur(n, (0, 0), 0.3 + i / 6) for i, n in enumerate(noise)]
    try:
        found = []
        for count in (1, 2, 5):
            cv2.setNumThreads(count)
            found.append([pairing.input([frame]) for frame in frames])
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[1], found[2])
