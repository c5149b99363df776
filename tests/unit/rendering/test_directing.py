"""What an artist directs: strength, colour, matte and mix of one frame, and which comes first."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import moving_frames, scene, write_clip
from directed_clip import FrameBlend

from vidtrans.clips.clip_signals import clip_clock
from vidtrans.clips.indexing import open_clip
from vidtrans.core.errors import UsageError
from vidtrans.pipeline.render import PICTURE_VALUES, RenderingSettings
from vidtrans.pipeline.stage import FrameValues
from vidtrans.session import Context

SOURCE, LOOK = scene(40, 24, seed=1), scene(40, 24, seed=2)


def plain(*rgb: int) -> np.ndarray:
    return np.full((4, 6, 3), rgb, np.uint8)


def lab(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def matte(value: int, like: np.ndarray = SOURCE) -> np.ndarray:
    return np.full(like.shape[:2], value, np.uint8)


@pytest.mark.parametrize("white", [None, matte(255)])
def test_no_strength_or_full_mix_is_the_source_and_full_strength_the_look(white: np.ndarray | None) -> None:
    assert np.array_equal(FrameBlend(strength=0)(SOURCE, LOOK, white), SOURCE)
    assert np.array_equal(FrameBlend(strength=1)(SOURCE, LOOK, white), LOOK)
    kept = SOURCE.copy(), LOOK.copy()
    half = FrameBlend(strength=0.5)(SOURCE, LOOK, white)
    assert np.array_equal((SOURCE, LOOK), kept)  # it leaves what it is given alone
    assert np.abs(half - (SOURCE.astype(float) + LOOK) / 2).max() <= 0.5
    for strength in (0.0, 1.0, 2.0):
        assert np.array_equal(FrameBlend(strength, keep_colour=1, mix=1)(SOURCE, LOOK, white), SOURCE)


def test_the_source_is_where_the_matte_is_black_and_the_look_where_it_is_white() -> None:
    sides = matte(0)
    sides[:, 20:] = 255
    sides[:, 18:22] = 128
    made = FrameBlend()(SOURCE, LOOK, sides)
    assert np.array_equal(made[:, :18], SOURCE[:, :18])
    assert np.array_equal(made[:, 22:], LOOK[:, 22:])
    low, high = np.minimum(SOURCE, LOOK)[:, 18:22], np.maximum(SOURCE, LOOK)[:, 18:22]
    interpolate_codes = made[:, 18:22]
    assert ((low <= interpolate_codes) & (interpolate_codes <= high)).all()
    apart = high.astype(int) - low > 4
    assert ((low < interpolate_codes) & (interpolate_codes < high))[apart].all()


def test_strength_comes_before_colour_then_the_matte_and_mix_last() -> None:
    source, look = plain(120, 110, 100), plain(140, 150, 160)
    made = lab(FrameBlend(strength=2, keep_colour=1)(source, look, None))[0, 0]
    strengthened = lab(FrameBlend(strength=2)(source, look, None))[0, 0]
    assert made[0] == pytest.approx(strengthened[0], abs=1)  # the lightness of what was made twice as strong
    assert made[1:] == pytest.approx(lab(source)[0, 0, 1:], abs=1.5)  # and none of its colour
    grey, light, half = plain(100, 100, 100), plain(200, 200, 200), np.full((4, 6), 128, np.uint8)
    # Twice the strength ends at white, 255; a matte taken before it would end at 200.
    assert abs(int(FrameBlend(strength=2)(grey, light, half)[0, 0, 0]) - 178) <= 1
    # The mix is a share of what the matte left: 178 → 139.
    assert abs(int(FrameBlend(strength=2, mix=0.5)(grey, light, half)[0, 0, 0]) - 139) <= 1


def test_a_file_of_values_is_checked_where_frames_are_rendered(tmp_path: Path) -> None:
    clip = open_clip(Context(), write_clip(tmp_path / "a.mp4", moving_frames(8)))
    values = tmp_path / "v.csv"
    values.write_text("frame,v\n0,5\n3,5\n4,1\n7,1\n")
    blend = FrameValues(RenderingSettings(strength=str(values)), clip_clock(clip), PICTURE_VALUES)
    blend.check(4, 8)
    key = blend.for_key()
    with pytest.raises(UsageError, match=r"strength '[^']*v.csv': at frame 3 it is 5"):
        blend.check(3, 8)
    values.write_text("frame,v\n0,5\n3,5\n4,1\n7,0.5\n")
    assert FrameValues(RenderingSettings(strength=str(values)), clip_clock(clip), PICTURE_VALUES).for_key() != key
