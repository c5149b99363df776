"""The pairings that draw, colour, enlarge, clean and fill; what all promise is in test_registries.py."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.core.errors import UsageError
from vidtrans.pairing.colorize import LUMA, Colorize, ColorizeSettings
from vidtrans.pairing.denoise import Denoise, DenoiseSettings
from vidtrans.pairing.drawings import ink
from vidtrans.pairing.edges import Edges, EdgesSettings
from vidtrans.pairing.enlarge import Enlarge, EnlargeSettings
from vidtrans.pairing.inpaint import HOLE_GREY, Inpaint, InpaintSettings
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.pairing.regions import Regions, RegionsSettings, palette
from vidtrans.pairing.sketch import Sketch, SketchSettings

repeatable = hypothesis_settings(max_examples=10)
seeds = st.integers(0, 1000)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def flat(level: int | tuple[int, ...], height: int = 32, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def drawing(thickness: int = 2, height: int = 120, width: int = 160) -> np.ndarray:
    page = flat(250, height, width)
    dark = (20, 20, 20)
    cv2.rectangle(page, (20, 50), (75, 105), dark, thickness, cv2.LINE_AA)
    cv2.polylines(page, [np.array([[12, 50], [47, 15], [83, 50]])], False, dark, thickness, cv2.LINE_AA)
    cv2.circle(page, (120, 60), 28, dark, thickness, cv2.LINE_AA)
    return page


def photographed(page: np.ndarray, angle: float, darkest: float, seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : page.shape[0] * 1j, -1 : 1 : page.shape[1] * 1j]
    across = (np.cos(angle) * x + np.sin(angle) * y) / np.sqrt(2)
    light = darkest + (1 - darkest) * np.square((1 + across) / 2)
    lit = page * light[..., None] * (0.9, 0.87, 0.8) + generator(seed).normal(0, 2, page.shape)
    return np.rint(np.clip(lit, 0, 255)).astype(np.uint8)


@repeatable
@given(st.floats(0, 6.28), st.floats(0.5, 1.0), st.integers(2, 9), st.booleans())
def test_ink_is_found_whatever_the_light_and_whichever_is_darker(
    angle: float, darkest: float, thickness: int, negative: bool
) -> None:
    page = drawing(thickness)
    drawn = page[..., 0] < 128
    found = ink(photographed(255 - page if negative else page, angle, darkest)) > 128
    assert (found == drawn).mean() > 0.985
    assert found[cv2.erode(drawn.astype(np.uint8), np.ones((2, 2), np.uint8)) > 0].mean() > 0.95
    assert found[cv2.dilate(drawn.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0].mean() < 0.002


@pytest.mark.parametrize("thickness", [1, 4, 10])
def test_strokes_of_any_thickness_become_lines(thickness: int) -> None:
    lines = Edges(EdgesSettings()).drawing_input(drawing(thickness))
    assert lines.shape == (120, 160, 1)
    assert set(np.unique(lines)) == {0, 255}
    length = 4 * 55 + 2 * 50 + 2 * np.pi * 28  # as drawn; diagonals have fewer pixels than length
    assert 0.75 * length < (lines > 0).sum() < 1.1 * length
    # They lie in the middle of the strokes.
    near = cv2.dilate((drawing(1)[..., 0] < 200).astype(np.uint8), np.ones((5, 5), np.uint8))
    assert near[lines[..., 0] > 0].mean() > 0.95
    blocks = cv2.erode(lines, np.ones((2, 2), np.uint8))
    assert (blocks > 0).sum() < 0.03 * (lines > 0).sum()


@repeatable
@given(seeds, st.integers(1, 3))
def test_a_little_noise_changes_a_sketch_a_little(seed: int, noise: int) -> None:
    """No threshold is there to be crossed: this is what keeps lines from popping."""
    picture = scene(96, 64, seed).astype(np.int16)
    shaken = np.clip(picture + generator(seed).integers(-noise, noise + 1, picture.shape), 0, 255)
    a, b = (Sketch(SketchSettings()).input([p.astype(np.uint8)]).astype(int) for p in (picture, shaken))
    assert np.abs(a - b).mean() < 3 * noise
    assert (np.abs(a - b) > 128).mean() < 0.003


def test_every_colour_of_a_palette_is_its_own() -> None:
    colours = palette(5).colours
    assert len(np.unique(colours, axis=0)) == len(colours) <= 256
    page = np.repeat(np.repeat(colours[None], 8, axis=0), 8, axis=1)
    assert np.array_equal(Regions(RegionsSettings()).drawing_input(page), page)


def test_a_frame_agrees_with_its_own_regions_and_less_the_more_of_it_is_another() -> None:
    pairing, frame, other = Regions(RegionsSettings()), scene(96, 72, seed=1), scene(96, 72, seed=2)
    shown = pairing.input([frame])
    half = np.concatenate([frame[:, :48], other[:, 48:]], axis=1)
    whole, some, least = (pairing.agreement(shown, picture) for picture in (frame, half, other))
    assert whole == 1
    assert 1 > some > least >= 0


def luma(picture: np.ndarray) -> np.ndarray:
    return cv2.transform(picture.astype(np.float32), LUMA)


@repeatable
@given(seeds)
def test_finished_colours_have_the_frames_light(seed: int) -> None:
    frame, output = generator(seed).integers(0, 256, (2, 24, 20, 3), dtype=np.uint8)
    pairing = Colorize(ColorizeSettings())
    made = pairing.finish(frame, output, pairing.input([frame]))
    assert np.abs(luma(made) - luma(frame)).max() <= 0.51
    # And the output's hue: the same channel leads, unless nothing was left of the colour.
    signed = made - luma(made)[..., None]
    wanted = output - luma(output)[..., None]
    assert (signed * wanted).sum(axis=2).min() > -30


@pytest.mark.parametrize(("factor", "size"), [(2, (48, 36)), (3, (33, 31)), (4, (47, 31)), (3, (33, 17)), (4, (1, 5))])
def test_detail_is_lost_and_the_rest_is_not(factor: int, size: tuple[int, int]) -> None:
    pairing = Enlarge(EnlargeSettings(factor=factor, degradation=0.0))
    assert pairing.upscale_factor == factor
    smooth = cv2.resize(scene(12, 10, 1), size, interpolation=cv2.INTER_CUBIC)
    made = pairing.training_input([smooth], generator())
    assert made.shape == smooth.shape
    small = min(size) <= 30
    assert small or np.abs(made.astype(int) - smooth).mean() < 6
    checks = ((np.indices((size[1], size[0])).sum(axis=0) % 2) * 255).astype(np.uint8)
    lost = pairing.training_input([np.repeat(checks[..., None], 3, axis=2)], generator())
    assert small or lost.std() < 50 < checks.std()


def test_wear_is_drawn_and_is_as_bad_as_it_is_set() -> None:
    def worn(degradation: float, seed: int) -> np.ndarray:
        return Enlarge(EnlargeSettings(degradation=degradation)).training_input([scene(96, 64, 2)], generator(seed))

    clean = worn(0.0, 0).astype(int)
    wear = [np.mean([np.abs(worn(amount, seed) - clean).mean() for seed in range(8)]) for amount in (0.1, 0.4, 1.0)]
    assert wear == sorted(wear)
    assert not np.array_equal(worn(0.4, 1), worn(0.4, 2))


@repeatable
@given(seeds, st.floats(1, 40), st.floats(0, 1))
def test_noise_is_as_strong_as_it_is_set_and_moves_no_mean(seed: int, sigma: float, grain: float) -> None:
    pairing = Denoise(DenoiseSettings(min_sigma=sigma, max_sigma=sigma, grain=grain))
    noise = pairing.training_input([flat(127, 96, 128)], generator(seed)).astype(np.float64) - 127
    assert noise.std() == pytest.approx(np.hypot(sigma, 0.29), rel=0.1)
    assert abs(noise.mean()) < 0.15 * sigma


def test_what_is_in_a_hole_is_not_seen() -> None:
    frame = scene(64, 48, 1)
    pairing = Inpaint(InpaintSettings(mask_dilation=0, mask_feather=0.0))
    for shown in (pairing.training_input([frame], generator(1)), pairing.render_input([frame], 9, None)):
        hole = shown[..., 3] > 0
        assert 0 < hole.mean() < 0.5
        assert (shown[hole][:, :3] == HOLE_GREY).all()
        assert np.array_equal(shown[~hole][:, :3], frame[~hole])
    mask = np.zeros((48, 64), np.uint8)
    mask[10:20, 10:20], mask[30:40, 30:40] = 17, 16
    assert np.array_equal(pairing.render_input([frame], 9, mask)[..., 3] > 0, mask > 16)


def test_a_mask_grows_before_it_is_filled() -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[24, 32] = 255
    pairing = Inpaint(InpaintSettings(mask_dilation=5, mask_feather=0.0))
    grown = pairing.render_input([scene(64, 48, 1)], 0, mask)[..., 3]
    away = np.hypot(*(np.indices(mask.shape) - np.array([24, 32])[:, None, None]))
    assert grown[away <= 4].all()
    assert not grown[away > 6].any()
    with pytest.raises(UsageError, match=r"pairing\.mask_feather"):
        make_pairing("inpaint", {"mask_dilation": 2, "mask_feather": 3.0})


@repeatable
@given(seeds, st.sampled_from([0.0, 1.0, 3.5]), st.integers(1, 4))
def test_outside_a_hole_the_frame_stays_and_deep_inside_it_is_filled(seed: int, feather: float, scale: int) -> None:
    pairing = Inpaint(InpaintSettings(mask_feather=feather))
    shown = pairing.training_input([scene(48, 36, 0)], generator(seed))
    large = cv2.resize(shown, (48 * scale, 36 * scale), interpolation=cv2.INTER_LINEAR)
    frame, output = (scene(48 * scale, 36 * scale, s) for s in (1, 2))
    made = pairing.finish(frame, output, large)
    hole = large[..., 3] > 127
    assert np.array_equal(made[~hole], frame[~hole])
    inside = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    deep = inside > feather
    assert np.array_equal(made[deep], output[deep])
    low, high = np.minimum(frame, output), np.maximum(frame, output)
    assert ((made >= low) & (made <= high)).all()


FRAME, PICTURE = scene(40, 30, 1), scene(40, 30, 2)


def test_a_painted_picture_keeps_its_areas_and_loses_their_soft_rims() -> None:
    page = flat((30, 90, 200), 256, 320)
    cv2.circle(page, (160, 120), 80, (240, 220, 40), -1)
    cv2.rectangle(page, (0, 200), (320, 256), (60, 140, 40), -1)
    cv2.line(page, (20, 10), (20, 190), (200, 30, 30), 6)  # three pixels wide, below
    soft = cv2.resize(page, (160, 128), interpolation=cv2.INTER_AREA)
    made = Regions(RegionsSettings()).drawing_input(soft)
    assert len(np.unique(soft.reshape(-1, 3), axis=0)) > 3
    assert len(np.unique(made.reshape(-1, 3), axis=0)) == 4
    assert len(np.unique(made[50, 5:15], axis=0)) == 2
