"""Edges of mattes: hairs by the colours around them, and the colours of what is cut out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vidtrans.masking.matte_edges import cut_out, unmix_edge


def strands(size: tuple[int, int] = (320, 240)) -> np.ndarray:
    rng = np.random.default_rng(0)
    fine = np.zeros((4 * size[1], 4 * size[0]), np.float32)
    cv2.circle(fine, (2 * size[0], 2 * size[1]), 240, 1.0, -1, cv2.LINE_AA)
    for angle in rng.uniform(0, 2 * np.pi, 90):
        ends = [(round(2 * size[0] + r * np.cos(angle)), round(2 * size[1] + r * np.sin(angle))) for r in (228, 340)]
        cv2.line(fine, ends[0], ends[1], 1.0, 8, cv2.LINE_AA)
    return np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_AREA))


def mixed(alpha: np.ndarray, thing: tuple[int, ...], ground: tuple[int, ...]) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 2, (*alpha.shape, 3))
    picture = np.array(ground) + alpha[..., None] * (np.array(thing) - np.array(ground)) + noise
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("deep", [False, True])
def test_hairs_are_found_by_their_colours_where_these_are_known(deep: bool) -> None:
    true = strands()
    frame = mixed(true, (220, 130, 60), (40, 60, 120))
    frame = frame.astype(np.uint16) * 257 if deep else frame
    coarse = np.asarray(cv2.GaussianBlur(true, (0, 0), 2.0), np.float32)
    found = unmix_edge(coarse, frame)
    band = (coarse > 0.02) & (coarse < 0.98)
    assert np.abs(found - true)[band].mean() < 0.75 * np.abs(coarse - true)[band].mean()
    far = cv2.dilate(band.astype(np.uint8), np.ones((9, 9))) == 0
    assert np.array_equal(found[far], coarse[far])
    assert found.min() >= 0
    assert found.max() <= 1
    rim = (true > 0.1) & (true < 0.9)
    colours = cut_out(frame, found)[..., :3].astype(float) / (257 if deep else 1)
    assert np.abs(colours - (220, 130, 60))[rim].mean() < 6


def test_what_is_cut_out_keeps_its_texture_and_is_not_darkened() -> None:
    rng = np.random.default_rng(3)
    frame = np.clip(rng.normal(128, 30, (120, 160, 3)), 0, 255).astype(np.uint8)
    for alpha, least in ((0.5, 0.2), (0.98, 0.9), (254 / 255, 0.95)):
        matte = np.full((120, 160), alpha, np.float32)
        colours = cut_out(frame, matte)[..., :3].astype(float)
        assert abs(colours.mean() - frame.mean()) < 4
        assert colours.std() > least * frame.std()


def test_a_matte_stays_where_thing_and_ground_look_alike_and_where_it_is_hard() -> None:
    true = strands()
    coarse = np.asarray(cv2.GaussianBlur(true, (0, 0), 2.0), np.float32)
    alike = mixed(true, (120, 120, 120), (120, 120, 120))
    assert np.abs(unmix_edge(coarse, alike) - coarse).max() < 0.05
    hard = (true >= 0.5).astype(np.float32)
    assert np.array_equal(unmix_edge(hard, mixed(true, (220, 130, 60), (40, 60, 120))), hard)
