"""The pairings one by one; what all of them promise is in test_registries.py."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import moving_frames, scene

from vidtrans.core.errors import UsageError
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import PairPositions, input_frames
from vidtrans.pairing.edges import Edges, EdgesSettings
from vidtrans.pairing.next_frame import NextFrame, NextFrameSettings
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.pairing.sensor_noise import UNCHANGED_SHARE, simulate_camera


def share_of_lines(picture: np.ndarray, **changes: float) -> float:
    return float((Edges(EdgesSettings(**changes)).input([picture]) > 0).mean())  # type: ignore[arg-type]


def test_lines_are_white_on_black_and_lie_on_the_outline() -> None:
    picture = np.zeros((48, 48, 3), np.uint8)
    picture[12:-12, 12:-12] = 200
    lines = Edges(EdgesSettings()).input([picture])
    assert set(np.unique(lines)) == {0, 255}
    found = np.argwhere(lines[..., 0])
    assert (np.abs(found[..., None] - [12, 35]).min(axis=(1, 2)) <= 2).all()
    assert len(found) > 3 * 20  # three of its four sides at least, 24 pixels each


def test_a_flat_picture_and_faint_noise_stay_empty() -> None:
    for level in (0, 90, 255):
        assert not Edges(EdgesSettings(gradient_channel=True)).input([np.full((32, 32, 3), level, np.uint8)]).any()
    noise = np.random.default_rng(0).integers(100, 103, (48, 48, 3), dtype=np.uint8)
    assert share_of_lines(noise) == 0 < share_of_lines(noise, min_gradient=0.0)


def test_next_frame_sees_the_past_oldest_first_and_predicts_what_follows() -> None:
    plain = NextFrame(NextFrameSettings())
    assert list(plain.pair_positions(4)) == [PairPositions((0,), 1), PairPositions((1,), 2), PairPositions((2,), 3)]
    wide = NextFrame(NextFrameSettings(step=2, context_frames=3))
    assert list(wide.pair_positions(8)) == [PairPositions((0, 2, 4), 6), PairPositions((1, 3, 5), 7)]
    assert (wide.min_frames, wide.in_channels) == (7, 9)
    # At a shot's start its first frame stands in for the past.
    assert [input_frames(wide, 10 + n, 10) for n in (0, 3, 9)] == [(10, 10, 10), (10, 11, 13), (15, 17, 19)]
    made = wide.input([np.full((4, 5, 3), v, np.uint8) for v in (1, 2, 3)])
    assert made[0, 0].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_a_pairings_table_is_checked() -> None:
    assert make_pairing("edges", {"gradient_channel": True}).in_channels == 2
    for name, table, why in (
        ("next-frame", {"context_frames": 5}, r"pairing\.context_frames = 5"),
        ("next-frame", {"sofft": True}, r"pairing\.sofft"),
        ("aligned", {"direction": "AtoC"}, "AtoB, BtoA"),
        ("edge", {}, "did you mean 'edges'"),
    ):
        with pytest.raises(UsageError, match=why):
            make_pairing(name, table)


def test_edges_do_not_depend_on_where_in_memory_the_frame_lies() -> None:
    """OpenCV's magnitude did: a render differed from run to run in one frame of a hundred."""
    pairing = make_pairing("edges", {"gradient_channel": True})
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
    frames = [cv2.GaussianBlur(n, (0, 0), 0.3 + i / 6) for i, n in enumerate(noise)][:: 1 if name == "edges" else 12]
    try:
        found = []
        for count in (1, 2, 5):
            cv2.setNumThreads(count)
            found.append([pairing.input([frame]) for frame in frames])
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[1], found[2])


def test_tones_are_of_areas_and_relative_to_the_picture() -> None:
    pairing = Edges(EdgesSettings(tone_channel=True))
    steps = np.repeat(np.repeat(np.array([[20, 60], [60, 100]], np.uint8), 64, 0), 64, 1)[..., None].repeat(3, 2)
    tone = pairing.input([steps])[..., 1].astype(float)
    assert (tone[20, 20], tone[20, 107]) == (pytest.approx(128 - 48 * 2**0.5, abs=5), pytest.approx(128, abs=2))
    brighter = pairing.input([steps * 2 + 40])[..., 1].astype(float)  # another light, and the same tones
    assert np.abs(brighter - tone).max() <= 1
    speckled = np.where(np.random.default_rng(0).random(steps.shape[:2]) < 0.5, 40, 0).astype(np.uint8)[..., None]
    assert np.abs(pairing.input([steps + speckled])[..., 1] - tone).mean() < 4  # detail is no tone
    flat = pairing.input([np.full((32, 32, 3), 90, np.uint8)])
    assert set(np.unique(flat[..., 1])) == {128}


def test_what_the_lines_of_a_drawing_enclose_is_light() -> None:
    pairing = Edges(EdgesSettings(gradient_channel=True, tone_channel=True))
    page = np.full((96, 128, 3), 255, np.uint8)
    assert set(np.unique(pairing.drawing_input(page)[..., 2])) == {128}
    cv2.circle(page, (64, 48), 28, (0, 0, 0), 3)
    cv2.line(page, (0, 48), (30, 48), (0, 0, 0), 3)  # encloses nothing
    tone = pairing.drawing_input(page)[..., 2]
    assert [tone[48, 64], tone[20, 10], tone[80, 10]] == [150, 64, 64]


def test_some_frames_stay_as_they_are_where_the_light_of_other_cameras_is_drawn() -> None:
    frame = scene(96, 64, 4)
    made = [simulate_camera(frame, 1.0, np.random.Generator(np.random.Philox(key=seed))) for seed in range(200)]
    assert np.mean([np.array_equal(picture, frame) for picture in made]) == pytest.approx(UNCHANGED_SHARE, abs=0.08)
