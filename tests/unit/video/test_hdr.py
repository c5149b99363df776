"""HDR and wide gamut to BT.709 SDR, against the figures that the standards print."""

from __future__ import annotations

import numpy as np
import pytest

from vidtrans.video.colour.conversion import ToneMap, nits_of_pq, pq_of_nits
from vidtrans.video.colour.tags import BT709, BT2020, HLG, PQ

SDR_2020 = 14
FULL = 65535
# Table 2 of ITU-R BT.2407, linear BT.2020 to linear BT.709.
TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
LUMINANCE_2020 = np.array([0.2627, 0.6780, 0.0593])


def codes(values: object) -> np.ndarray:
    return np.rint(np.asarray(values) * FULL).astype(np.uint16).reshape(1, -1, 3)


def pq(nits: object) -> np.ndarray:
    return codes(pq_of_nits(np.clip(np.asarray(nits, np.float64), 0, 10000)))


def greys(values: object) -> np.ndarray:
    return np.repeat(np.asarray(values, np.float64).reshape(-1, 1), 3, axis=1)


def mapped(tone_map: ToneMap, picture: np.ndarray) -> np.ndarray:
    result = tone_map(picture)
    assert result.dtype == np.uint16
    assert result.shape == picture.shape
    return result.reshape(-1, 3) / FULL


def in_2020(rgb_709: object) -> np.ndarray:
    return np.asarray(rgb_709) @ np.linalg.inv(TO_709).T


def test_pq_is_that_of_the_standard() -> None:
    nits, code = [0, 0.1, 100, 203, 1000, 4000, 10000], [0, 0.0623, 0.5081, 0.5807, 0.7518, 0.9026, 1]
    assert nits_of_pq(np.array(code[1:])) == pytest.approx(nits[1:], rel=2e-3)
    assert pq_of_nits(np.array(nits)) == pytest.approx(code, abs=1e-4)


@pytest.mark.parametrize("primaries", [5, 22, 12])
def test_8_bits_of_sdr_are_mapped_as_16(primaries: int) -> None:
    tone_map = ToneMap(BT709, primaries)
    noise = np.random.default_rng(0).integers(0, 256, (64, 512, 3), np.uint8)
    for picture in (noise, noise // 16, noise // 4 + 96, np.repeat(noise[..., :1], 3, axis=2)):
        exact = tone_map(picture.astype(np.uint16) * np.uint16(257)) / 257
        assert np.abs(tone_map(picture) - exact).max() <= 0.75


@pytest.mark.parametrize("transfer", [PQ, HLG, SDR_2020])
def test_every_grey_stays_grey_and_in_order(transfer: int) -> None:
    ramp = mapped(ToneMap(transfer, BT2020), greys(np.arange(FULL + 1)).astype(np.uint16)[None])
    assert np.ptp(ramp, axis=1).max() <= 3 / FULL + 1e-9
    assert (np.diff(ramp[:, 1]) >= 0).all()
    assert ramp[0].max() == 0
    assert ramp[-1].min() == 1


@pytest.mark.parametrize("nits", [5, 3000])
def test_red_stays_red_green_green_and_blue_blue(nits: float) -> None:
    for channel in range(3):
        primary = np.eye(3)[channel] * nits
        for rgb in (primary, in_2020(primary)):
            shown = mapped(ToneMap(PQ, BT2020), pq(rgb))[0]
            assert np.delete(shown, channel).max() < 0.04 < 0.15 < shown[channel]


def test_sdr_gets_the_matrix_alone() -> None:
    colours = np.random.default_rng(0).random((500, 3)) ** 2.4
    wide = codes(np.clip(in_2020(colours), 0, 1) ** (1 / 2.4))
    shown = mapped(ToneMap(SDR_2020, BT2020), wide)
    # The printed matrix has four places.
    assert shown**2.4 == pytest.approx(colours, abs=5e-4)


def test_hlg_is_shown_as_a_display_of_1000_nits_would() -> None:
    code = np.array([[0.6, 0.4, 0.3], [0.8, 0.75, 0.7], [0.2, 0.3, 0.25], [0.9, 0.85, 0.95]])
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    display = 1000 * (scene @ LUMINANCE_2020)[:, None] ** 0.2 * scene
    shown = mapped(ToneMap(HLG, BT2020), codes(code))
    assert shown == pytest.approx(mapped(ToneMap(PQ, BT2020), pq(display)), abs=1e-3)
    assert np.array_equal(mapped(ToneMap(HLG, 2), codes(code)), shown)  # what names no primaries has these
