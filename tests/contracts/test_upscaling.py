"""Enlarged pictures keep what the small ones show, and gain detail of the source; arrays and tensors give the same."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidtrans.flow.warping import shrink
from vidtrans.interop.onnx.trial import trial_picture
from vidtrans.metrics.picture_quality import psnr_of
from vidtrans.upscaling import MODES, STREAM_MODES, array_pictures, tensor_pictures
from vidtrans.upscaling.array_pictures import blur, size_of
from vidtrans.upscaling.enlarging import (
    FAULTLESS,
    Faults,
    enlarge_by_luma,
    find_faults,
    upscale,
    upscale_on,
    upscale_stream,
    upscale_stream_on,
)

sides = st.integers(1, 70)


def photo(width: int, height: int, seed: int = 1) -> np.ndarray:
    """Discs of all sizes with edges, shades and grain."""
    return trial_picture(height, width, seed).astype(np.float32)


def look(picture: np.ndarray) -> np.ndarray:
    """A grade, that swaps colours."""
    return np.ascontiguousarray(picture[..., ::-1] ** 0.7 * 0.8 + 0.1).astype(np.float32)


def levels(picture: np.ndarray) -> np.ndarray:
    """A picture as uint8."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return psnr_of(255**2 * float(np.mean((one - other) ** 2)))


@settings(max_examples=60)
@given(
    st.sampled_from(MODES),
    st.tuples(sides, sides),
    st.tuples(sides, sides),
    st.integers(0, 9),
    st.sampled_from([FAULTLESS, Faults(1.7, 1.2, 0.01), Faults(0.7, 0.9, is_own=True), Faults(is_unlike=True)]),
)
def test_arrays_and_tensors_become_the_same(
    mode: str, small: tuple[int, int], large: tuple[int, int], seed: int, faults: Faults
) -> None:
    source, output = photo(*large, seed), look(photo(*small, seed))
    made = upscale(output, source, mode, faults)
    assert made.shape == source.shape
    assert np.isfinite(made).all()
    difference = np.abs(made - upscale_on("cpu", output, source, mode, faults))
    assert difference.max() < 0.1 / 255
    assert difference.mean() < 1e-4


@pytest.mark.parametrize("factor", [1.3, 5.7])
def test_each_mode_is_nearer_to_the_truth_than_the_one_before(factor: float) -> None:
    source = photo(240, 180)
    truth = look(source)
    output = shrink(truth, (round(240 / factor), round(180 / factor)))
    made = {mode: psnr(upscale(output, source, mode), truth) for mode in ("bicubic", "faithful", "guided")}
    assert made["bicubic"] < made["faithful"] < made["guided"] - 2
    stream = upscale_stream(levels(output), levels(source), "luma") / np.float32(255)
    assert psnr(stream, truth) > made["bicubic"] + 1.5


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_pictures_stay_flat_and_the_grain_of_the_source_stays_out(level: float) -> None:
    flat, source = np.full((40, 60, 3), level, np.float32), photo(180, 120)
    for mode in MODES:
        assert np.abs(upscale(flat, source, mode) - level).max() < 1e-5
    for mode in STREAM_MODES:
        assert (upscale_stream(levels(flat), levels(source), mode) == levels(flat)[0, 0]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_levels_are_kept(dtype: Any) -> None:
    most = np.iinfo(dtype).max
    source = photo(96, 72)
    output = np.rint(shrink(look(source), (32, 24)) * most).astype(dtype)
    made = upscale(output, np.rint(source * 255).astype(np.uint8), "guided")
    assert made.dtype == dtype
    exact = upscale((output / most).astype(np.float32), np.rint(source * 255).astype(np.uint8), "guided")
    assert np.abs(made / most - exact).max() <= 0.55 / most
    assert dtype == np.uint8 or len(np.unique(made)) > 2000


def test_what_has_the_size_is_returned_and_a_smaller_result_is_averaged() -> None:
    output = look(photo(60, 40))
    assert upscale(output, photo(60, 40), "guided") is output
    for mode in MODES:
        assert np.allclose(upscale(output, photo(30, 20), mode), shrink(output, (30, 20)))
        assert size_of(upscale(output, photo(30, 60), mode)) == (30, 60)


def noisy(picture: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, 0.015, picture.shape)
    return np.clip(picture + noise, 0, 1).astype(np.float32)


FAULTY = {
    "a blur": lambda picture: blur(picture, 0.6),
    "ringing": lambda picture: np.clip(picture + 0.6 * (picture - blur(picture, 0.8)), 0, 1),
    "noise": noisy,
}


def small_and_truth(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source = photo(480, 360, seed)
    truth = look(source)
    return source, shrink(truth, (160, 120)), truth


def test_a_faultless_network_has_no_faults() -> None:
    for seed in range(2):
        source, small, _ = small_and_truth(seed)
        assert find_faults([(small, shrink(source, (160, 120)))]) == FAULTLESS
    assert find_faults([]) == FAULTLESS


@pytest.mark.parametrize("fault", FAULTY)
def test_faults_of_a_network_are_found_and_mended(fault: str) -> None:
    frames = [small_and_truth(seed) for seed in range(2)]
    pairs = [(FAULTY[fault](small), shrink(source, (160, 120))) for source, small, _ in frames]
    faults = find_faults(pairs)
    found = {"a blur": faults.finest > 1.3, "ringing": faults.finest < 0.85, "noise": 0.008 < faults.noise < 0.02}
    assert {name for name, is_found in found.items() if is_found} == {fault}
    for (output, _), (source, _, truth) in zip(pairs, frames, strict=True):
        assert psnr(upscale(output, source, "guided", faults), truth) > psnr(upscale(output, source, "guided"), truth)


def test_a_texture_of_the_networks_own_is_found_and_not_strengthened() -> None:
    source, small, truth = small_and_truth(1)
    own = np.random.default_rng(0).normal(0, 0.1, small.shape).astype(np.float32)
    output = np.clip(cv2.resize(shrink(small, (80, 60)), (160, 120)) + own, 0, 1)
    faults = find_faults([(output, shrink(source, (160, 120)))])
    assert faults.is_own
    made = {mode: upscale(output, source, mode, faults) for mode in ("auto", "guided", "clean")}
    assert psnr(made["auto"], truth) > psnr(made["guided"], truth) + 0.5
    assert psnr(made["clean"], truth) > psnr(made["guided"], truth)


@settings(max_examples=8)
@given(st.tuples(st.integers(4, 70), st.integers(4, 70)), st.integers(1, 90), st.integers(1, 90), st.integers(0, 9))
def test_of_a_stream_arrays_and_tensors_become_the_same(
    small: tuple[int, int], wider: int, higher: int, seed: int
) -> None:
    source, output = photo(small[0] + wider, small[1] + higher, seed), look(photo(*small, seed))
    made = enlarge_by_luma(array_pictures, output, array_pictures.luma(source))
    x, frame = (torch.from_numpy(picture).permute(2, 0, 1)[None] for picture in (output, source))
    tensor = enlarge_by_luma(tensor_pictures, x, tensor_pictures.luma(frame))[0].permute(1, 2, 0).numpy()
    assert made.shape == source.shape
    assert np.abs(made - tensor).max() < 0.2 / 255
    for mode in STREAM_MODES:
        rounded = upscale_stream(levels(output), levels(source), mode)
        assert (rounded.shape, rounded.dtype) == (source.shape, np.uint8)
        on_device = upscale_stream_on("cpu", levels(output), levels(source), mode)
        assert np.abs(rounded.astype(int) - on_device).max() <= 4


def clouds() -> np.ndarray:
    """Shades and colours of all sizes, (360, 480, 3)."""
    noise = np.random.default_rng(0)
    octaves = ((2**k, noise.random((3 * 2**k, 4 * 2**k, 3), np.float32)) for k in range(2, 7))
    made = sum(cv2.resize(each, (480, 360), interpolation=cv2.INTER_CUBIC) / np.sqrt(size) for size, each in octaves)
    return np.asarray((made - np.min(made)) / np.ptp(made), np.float32)


def solarised(picture: np.ndarray) -> np.ndarray:
    """A wave of each colour: no linear map in the neighbourhood of a pixel."""
    return (0.5 + 0.5 * np.sin(9 * picture[..., ::-1])).astype(np.float32)


def test_a_map_of_all_colours_is_found_and_nearer_to_the_truth_than_a_local_one() -> None:
    source = clouds()
    for maker, is_one in ((solarised, True), (lambda picture: blur(picture, 2.0), False)):
        truth = maker(source)
        output = shrink(truth, (160, 120))
        faults = find_faults([(output, shrink(source, (160, 120)))])
        assert faults.is_colour_map is is_one
        if is_one:
            local, mapped = (psnr(upscale(output, source, "guided", each), truth) for each in (FAULTLESS, faults))
            assert mapped > local + 1
            on_device = upscale_on("cpu", output, source, "guided", faults)
            assert np.abs(on_device - upscale(output, source, "guided", faults)).max() < 0.2 / 255
