"""Map HDR, other primaries and other transfers to the working colours of vidtrans: SDR codes with BT.709 primaries.

Policy, in the order of the steps:

1. Codes to display light. 1.0 is SDR white, at 203 cd/m² (the reference white of ITU-R BT.2408).
   PQ by the EOTF of SMPTE ST 2084. HLG by the inverse OETF of ITU-R BT.2100 and its OOTF for a display of
   1000 cd/m² (gamma 1.2). Linear, logarithmic and power curves as tagged. The rest is common video, which
   cameras' curves tag: BT.2020 by the gamma 2.4 of ITU-R BT.1886, others as pictures, by the sRGB curve.
2. Primaries to BT.709 by a matrix in linear light (ITU-R BT.2407). Colours inside BT.709 do not change. Outside it,
   negative components become 0 and the others are scaled to the original luminance, so red stays red. (Mixing
   with grey until it fits is nearer by the numbers, but turns vivid red to pink and green to teal.)
3. Brightness by the EETF of ITU-R BT.2390, from the source's peak to SDR white, with a longer shoulder: light
   below the knee (60 cd/m² for a peak of 1000) does not change, 203 cd/m² become 86 % of the code range.
   Vivid colours: the curve is applied to the largest of R, G and B and the ratios are kept, so nothing clips and no
   hue turns. Pale colours: it is applied to each of R, G and B, so that bright clouds and flames turn white.
   SDR needs no tone curve: there the step only keeps R, G and B below 1.
4. Light to codes by the inverse of BT.1886, gamma 2.4, for HDR and BT.2020, else by that of the sRGB curve: the codes
   that show this light on an SDR display. The OETF of BT.709 is for cameras: applied to display light it would lift
   the shadows and wash the picture out.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from vidtrans.video.colour.primaries import TAGGED
from vidtrans.video.colour.srgb import code_of_light, light_of_codes
from vidtrans.video.colour.tags import BT709, BT2020, UNSPECIFIED
from vidtrans.video.colour.transfer_curves import CURVES, HLG, PQ, SRGB

WHITE_NITS = 203.0
PQ_PEAK_NITS = 1000.0  # assumed
HLG_DISPLAY_NITS, HLG_GAMMA = 1000.0, 1.2
SDR_GAMMA = 2.4
# BT.2390 has 0.5 here, which leaves a tenth of the code above 203 cd/m²: too little for clouds and metal in real films.
KNEE_OFFSET = 0.75

_CODES = 65536
_TINY = np.float32(1e-12)  # keeps black from 0 / 0
_BLACK, _WHITE = 8192, 57343  # light in whole numbers, with room for some of what is outside BT.709
_STRIP = 32  # lines at a time, which stay in the processor's cache: whole pictures take half as long again
_BYTES_STRIP = 256  # the same for pictures of 8 bits, which are mapped in whole numbers
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


class ToneMap:
    """Map pictures with one transfer and one set of primaries to BT.709 SDR, as described at the top of this file.

    ``transfer`` and ``primaries``: numbers of ISO/IEC 23091-2. HDR without primaries is taken for BT.2020, unknown
    primaries for BT.709, an unknown transfer for common video. PQ is taken to be mastered for 1000 cd/m².
    """

    def __init__(self, transfer: int, primaries: int) -> None:
        if transfer in (PQ, HLG) and primaries == UNSPECIFIED:
            primaries = BT2020
        self._is_hlg = transfer == HLG
        self._as_pictures = transfer not in (PQ, HLG) and (primaries != BT2020 or transfer in (SRGB, *CURVES))
        self.takes_bytes = self._as_pictures and transfer not in CURVES
        self._light = _light_of_codes(transfer, as_pictures=self._as_pictures)
        source = TAGGED.get(primaries, TAGGED[BT709])
        self._source_luminance = source.to_xyz()[1:2].astype(np.float32)
        self._to_709 = source.to_bt709().astype(np.float32)
        steps = np.rint(self._light[::257] * (_WHITE - _BLACK)) if self.takes_bytes else self._light[:256]
        self._steps = steps.astype(np.uint16)
        self._steps_to_709 = np.column_stack([self._to_709, np.full(3, _BLACK, np.float32)])
        self._luminance = TAGGED[BT709].to_xyz()[1:2].astype(np.float32)
        peak_nits = {PQ: PQ_PEAK_NITS, HLG: HLG_DISPLAY_NITS}.get(transfer, WHITE_NITS)
        self._curve = _ToneCurve(peak_nits / WHITE_NITS)

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Return (H, W, 3) BT.709 SDR codes for (H, W, 3) non-linear, full-range RGB of the source, both uint16.

        Where ``takes_bytes``, both may be uint8. Grey stays grey, and a brighter pixel stays brighter.
        """
        mapped = np.empty_like(rgb)
        strip = _STRIP if rgb.dtype == np.uint16 else _BYTES_STRIP
        for top in range(0, len(rgb), strip):
            mapped[top : top + strip] = self._map(rgb[top : top + strip])
        return mapped

    def _map(self, rgb: np.ndarray) -> np.ndarray:
        if rgb.dtype == np.uint8:
            return self._map_bytes(rgb)
        light = cv2.LUT(rgb, self._light)
        if self._is_hlg:
            # BT.2100's OOTF, F_D = α · Y_S^(γ − 1) · E; α is in the table.
            light *= cv2.pow(cv2.transform(light, self._source_luminance), HLG_GAMMA - 1)[..., None]
        light = cv2.transform(light, self._to_709)
        if self._as_pictures:
            return self._codes_of_pictures(light, "uint16")
        if light.min() < 0:
            light = self._fit_gamut(light)
        if light.max() > self._curve.knee:
            light = self._roll_off(light)
        cv2.pow(light, 1 / SDR_GAMMA, light)
        return np.rint(light * np.float32(_CODES - 1)).astype(np.uint16)

    def _map_bytes(self, rgb: np.ndarray) -> np.ndarray:
        """Map 8 bits in whole numbers, which takes a quarter of the time; colours outside BT.709 exactly."""
        steps = cv2.transform(cv2.LUT(rgb, self._steps), self._steps_to_709)
        codes = cv2.LUT(steps, _codes_of_steps())
        if steps.min() < _BLACK or steps.max() > _WHITE:
            # Places, because masks of colours take ten times as long.
            outside = np.flatnonzero(cv2.inRange(steps, (_BLACK,) * 3, (_WHITE,) * 3) == 0)
            colours = rgb.reshape(-1, 3).take(outside, axis=0)[None]
            light = cv2.transform(cv2.LUT(colours, self._light[::257]), self._to_709)
            codes.reshape(-1, 3)[outside] = self._codes_of_pictures(light, "uint8")[0]
        return codes

    def _codes_of_pictures(self, light: np.ndarray, dtype: str) -> np.ndarray:
        """Fit the few pixels of linear ``light`` outside BT.709, and convert it to codes by the sRGB curve."""
        red, green, blue = cv2.split(light)
        outside = (cv2.min(cv2.min(red, green), blue) < 0) | (cv2.max(cv2.max(red, green), blue) > 1)
        if outside.any():
            light[outside] = self._roll_off(self._fit_gamut(light[outside][None]))[0]
        steps = cv2.sqrt(light) * np.float32(_CODES - 1) + np.float32(0.5)
        return cv2.LUT(steps.astype(np.uint16), _picture_codes(dtype))

    def _fit_gamut(self, light: np.ndarray) -> np.ndarray:
        """Clip negative R, G and B to 0 and scale the rest to the original luminance."""
        inside = np.maximum(light, 0)
        luminance, clipped = (cv2.transform(part, self._luminance) for part in (light, inside))
        inside *= (luminance / np.maximum(clipped, _TINY))[..., None]
        return inside

    def _roll_off(self, light: np.ndarray) -> np.ndarray:
        red, green, blue = cv2.split(light)
        most = np.maximum(cv2.max(cv2.max(red, green), blue), _TINY)
        least = cv2.min(cv2.min(red, green), blue)
        together = light * (self._curve(most) / most)[..., None]
        each = self._curve(light)
        each -= together
        each *= np.sqrt(least / most)[..., None]
        together += each
        return together


@cache
def _picture_codes(dtype: str) -> np.ndarray:
    """Return a table (65,536,) of sRGB codes of a dtype, for light whose square root has even steps from 0 to 1."""
    light = np.linspace(0, 1, _CODES).astype(np.float32) ** 2
    return np.rint(code_of_light(light[None])[0] * np.float32(np.iinfo(dtype).max)).astype(dtype)


@cache
def _codes_of_steps() -> np.ndarray:
    """Return a table (65,536,) of sRGB codes, uint8, of light in whole numbers, of which ``_BLACK`` is 0."""
    light = np.clip((np.arange(_CODES) - _BLACK) / (_WHITE - _BLACK), 0, 1).astype(np.float32)
    return np.rint(code_of_light(light[None])[0] * np.float32(255)).astype(np.uint8)


class _ToneCurve:
    """A tone curve from light to light in units of SDR white, at most 1: identity below the knee, a table above it."""

    def __init__(self, peak: float) -> None:
        self.knee = _knee_of(peak)
        # Even steps of the square root: the curve bends most at the knee.
        table = _bt2390(self.knee + (peak - self.knee) * np.linspace(0, 1, _CODES) ** 2, peak)
        self._table = table.astype(np.float32)
        self._scale = np.float32(1 / (peak - self.knee)) if peak > self.knee else np.float32(0)

    def __call__(self, light: np.ndarray) -> np.ndarray:
        steps = np.sqrt(np.clip((light - self.knee) * self._scale, 0, 1)) * np.float32(_CODES - 1)
        return np.where(light < self.knee, light, self._table[np.rint(steps).astype(np.int32)])


def _knee_of(peak: float) -> float:
    """Return the knee of the EETF, below which light does not change; 1 for a peak of 1. Units of SDR white."""
    top, white = pq_of_nits(np.array([peak, 1.0]) * WHITE_NITS)
    return float(nits_of_pq((1 + KNEE_OFFSET) * white - KNEE_OFFSET * top)) / WHITE_NITS


def _bt2390(light: np.ndarray, peak: float) -> np.ndarray:
    """Apply the EETF of ITU-R BT.2390 (annex 5), from ``peak`` down to 1, to light from the knee to the peak.

    Everything is in units of SDR white, in float64.
    """
    top, white, start = pq_of_nits(np.array([peak, 1.0, _knee_of(peak)]) * WHITE_NITS)
    start, target = start / top, white / top
    t = np.clip((pq_of_nits(light * WHITE_NITS) / top - start) / max(1 - start, 1e-9), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * start + (t**3 - 2 * t**2 + t) * (1 - start) + (-2 * t**3 + 3 * t**2) * target
    return np.clip(nits_of_pq(spline * top) / WHITE_NITS, 0, 1)


def nits_of_pq(code: np.ndarray) -> np.ndarray:
    """Apply the EOTF of SMPTE ST 2084: code values 0 … 1 to cd/m², 0 … 10,000, in float64."""
    power = np.power(code, 1 / _M2)
    return 10000 * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)


def pq_of_nits(nits: np.ndarray) -> np.ndarray:
    """Apply the inverse EOTF of SMPTE ST 2084: cd/m², 0 … 10,000, to code values 0 … 1."""
    power = np.power(nits / 10000, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


def _light_of_codes(transfer: int, *, as_pictures: bool) -> np.ndarray:
    """Return the display light of each of 65,536 codes, float32, SDR white 1; for HLG, α^(1/γ) times the scene light.

    ``as_pictures``: common video is shown by the sRGB curve, not by BT.1886.
    """
    code = np.linspace(0, 1, _CODES)
    if transfer == PQ:
        light = nits_of_pq(code) / WHITE_NITS
    elif transfer == HLG:  # the inverse OETF of ITU-R BT.2100
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        light = scene * (HLG_DISPLAY_NITS / WHITE_NITS) ** (1 / HLG_GAMMA)
    elif transfer in CURVES:
        light = CURVES[transfer](code)
    elif as_pictures:
        return light_of_codes("uint16")
    else:
        light = code**SDR_GAMMA
    return light.astype(np.float32)
