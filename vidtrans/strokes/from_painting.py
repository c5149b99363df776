"""Derive a painting medium from a picture of a painting: measure its strokes, and cut brush sprites from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_file, digest_of
from vidtrans.core.settings import Size
from vidtrans.strokes import brushes
from vidtrans.strokes.medium import Medium, MediumLayer, MediumPicture
from vidtrans.video.images.picture import read_picture

VERSION = 1  # Version of the measurement, for the medium's digest
SHORT_SIDE_PX = 480  # Short side to which a painting is scaled before its strokes are measured, in pixels
MIN_SIDE_PX = 128  # Smallest side of a painting that can be measured, in pixels
PATCH_PX = 64  # Side of the patches in which strokes are measured, in pixels
MAX_PATCHES = 160  # Largest number of patches in which strokes are measured
# Autocorrelation across strokes down to which its slope is fitted; it falls linearly to 0 at the strokes' width.
MIN_CORRELATION = 0.25
BRUSH = "cut"  # Name of the brush cut from the painting, which all layers of the derived medium use
HAIR_SIGMA, FORM_SIGMA = 2.0, 16.0  # σ of the blurs that remove the ridges of hairs, and isolate the forms, in pixels
# These constants are calibrated on rendered strokes of known width and length (unit: 1/480 of the short side).
# Strokes of TYPICAL_WIDTH have the correlation length TYPICAL_REACH; width grows with its power REACH_EXPONENT.
# If strokes are as long as wide, 1 / (1 + ENDS_RATIO) of their edges are ends.
TYPICAL_WIDTH, TYPICAL_REACH, REACH_EXPONENT, ENDS_RATIO = 14.0, 10.6, 3.3, 1.25


@dataclass(frozen=True)
class PaintingStrokes:
    """Measures of a painting's strokes: size, bend and variation of colour.

    ``width`` and ``length``: in 1/480 of the short side. ``bend``: in radians. ``light`` and ``colour``: standard
    deviations, of full scale, of lightness and of the channels between neighbouring strokes. ``sprites``: see
    ``brushes.sprites``.
    """

    width: float
    length: float
    bend: float
    light: float
    colour: float
    sprites: np.ndarray


def medium_of_painting(path: Path, base: Medium) -> Medium:
    """Return the medium ``base`` with the stroke measures of a painting and brushes cut from it.

    Raises MediaError, and UsageError for a picture without visible strokes: it is too small, or of one colour.
    """
    painting = read_picture(path)
    if min(painting.shape[:2]) < MIN_SIDE_PX:
        why = f"its {painting.shape[1]}x{painting.shape[0]} pixels show no strokes"
        raise UsageError(f"painting {path}", why, f"give one of at least {MIN_SIDE_PX} pixels a side")
    if not np.ptp(painting, axis=(0, 1)).any():
        raise UsageError(f"painting {path}", "it is of one colour", "give a picture that shows strokes")
    found = measure_strokes(painting)
    ratio = float(np.clip(found.length / found.width, 1.2, 7.0))
    layers = tuple(
        MediumLayer(
            brush=BRUSH,
            width=min(max(found.width * share, 3.0), 60.0),
            length=ratio,
            bend=found.bend,
            vary_light=found.light,
            vary_colour=found.colour,
            where=where,
            fine=fine,
            level=level,
        )
        for share, where, fine, level in (
            (1.4, "everywhere", 2.0, 0.0),
            (0.75, "detail", 7.0, 0.22),
            (0.4, "detail", 3.0, 0.38),
        )
    )
    return replace(
        base,
        name=path.stem,
        digest=digest_of({"painting": digest_file(path), "version": VERSION, "base": base.digest}),
        summary=f"the strokes of {path.name}",
        picture=MediumPicture(),
        layers=layers,
        brushes={},
        cut={BRUSH: found.sprites},
    )


def measure_strokes(painting: np.ndarray) -> PaintingStrokes:
    """Measure the strokes of a painting (H, W, 3) uint8; the result does not depend on its size.

    The width comes from the correlation length of detail across the lines. The length comes from the share of edges
    that lie across the lines: longer strokes of the same width have fewer ends.
    """
    height, width = painting.shape[:2]
    size = Size(short=SHORT_SIDE_PX).of(width, height)
    method = cv2.INTER_AREA if size[0] <= width else cv2.INTER_CUBIC
    seen = cv2.resize(painting, size, interpolation=method).astype(np.float32) * np.float32(1 / 255)
    grey = cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY)
    detail = cv2.GaussianBlur(grey, (0, 0), HAIR_SIGMA) - cv2.GaussianBlur(grey, (0, 0), FORM_SIGMA)
    angles, places, turn = _line_positions(grey)
    patches = np.stack([_rotated_crop(detail, p, a, PATCH_PX, PATCH_PX) for p, a in zip(places, angles, strict=True)])
    across = float(np.clip(TYPICAL_WIDTH * (_correlation_length(patches) / TYPICAL_REACH) ** REACH_EXPONENT, 5, 40))
    ratio = float(np.clip((1 / max(_end_share(grey), 0.05) - 1) / ENDS_RATIO, 1.2, 7))
    tints = [seen[..., k] - grey for k in range(3)]
    spread = [float((one - cv2.GaussianBlur(one, (0, 0), across)).std()) for one in (grey, *tints)]
    ridges = grey - cv2.GaussianBlur(grey, (0, 0), across / 2)
    return PaintingStrokes(
        width=across,
        length=across * ratio,
        bend=float(np.clip(turn * across * ratio, 0.1, 1.5)),
        light=float(np.clip(spread[0], 0.02, 0.15)),
        colour=float(np.clip(np.mean(spread[1:]), 0.008, 0.1)),
        sprites=_cut_sprites(ridges, places, angles, across, across * ratio),
    )


def _line_positions(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return angles (n,), positions (x, y), (n, 2), and median curvature of a picture's clearest lines.

    Angles are in radians, positions in pixels, the curvature in radians per pixel.
    """
    x, y = cv2.Scharr(grey, cv2.CV_32F, 1, 0), cv2.Scharr(grey, cv2.CV_32F, 0, 1)
    tensor = cv2.GaussianBlur(cv2.merge([x * x - y * y, 2 * x * y, x * x + y * y]), (0, 0), 4)
    double, energy = tensor[..., 0] + 1j * tensor[..., 1], tensor[..., 2]
    clear = np.abs(double) / (energy + np.quantile(energy, 0.1) + 1e-9)
    # Only calm areas, without edges of the motif, are measured, because such edges would count as strokes.
    calm = _form_gradient(grey)
    margin = PATCH_PX // 2 + 8
    rows, columns = np.mgrid[margin : grey.shape[0] - margin : 12, margin : grey.shape[1] - margin : 12]
    rows, columns = rows.ravel(), columns.ravel()
    calmest = np.argsort(calm[rows, columns], kind="stable")[: max(1, len(rows) // 3)]
    rows, columns = rows[calmest], columns[calmest]
    order = np.argsort(-clear[rows, columns], kind="stable")[:MAX_PATCHES]
    rows, columns = rows[order], columns[order]
    angles = np.angle(-double[rows, columns]) / 2  # Along the lines: perpendicular to the gradient
    step = 6
    ahead_x = np.clip((columns + step * np.cos(angles)).astype(int), 0, grey.shape[1] - 1)
    ahead_y = np.clip((rows + step * np.sin(angles)).astype(int), 0, grey.shape[0] - 1)
    turn = np.abs(np.angle(double[ahead_y, ahead_x] * np.conj(double[rows, columns]))) / 2 / step
    return angles, np.stack([columns, rows], 1), float(np.median(turn))


def _rotated_crop(picture: np.ndarray, place: np.ndarray, angle: float, length: int, breadth: int) -> np.ndarray:
    """Return a crop (breadth, length) around the position ``place``, (x, y), rotated so that its lines are horizontal.

    ``angle``: of the lines, in radians.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = np.meshgrid(np.arange(length) - (length - 1) / 2, np.arange(breadth) - (breadth - 1) / 2)
    x, y = (place[0] + cos * u - sin * v).astype(np.float32), (place[1] + sin * u + cos * v).astype(np.float32)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _correlation_length(patches: np.ndarray) -> float:
    """Return the correlation length across the lines of patches (n, SIDE, SIDE) with horizontal lines, in pixels."""
    window = np.outer(np.hanning(PATCH_PX), np.hanning(PATCH_PX))

    def correlation(parts: np.ndarray) -> np.ndarray:
        """Return the mean vertical autocorrelation of patches for each lag, normalised to 1 at lag 0."""
        power = np.abs(np.fft.fft2(parts, s=(2 * PATCH_PX, 2 * PATCH_PX))) ** 2
        made: np.ndarray = np.fft.ifft2(power.mean(0)).real[: PATCH_PX // 2, 0]
        return made / made[0]

    centred = patches - patches.mean((1, 2), keepdims=True)
    profile = correlation(centred * window) / np.maximum(correlation(window[None]), 0.05)
    # The length is the lag at which the line from 1 through the point at ``MIN_CORRELATION`` reaches 0.
    below = np.flatnonzero(profile < MIN_CORRELATION)
    if not len(below):
        return len(profile) / (1 - MIN_CORRELATION)
    at = below[0]
    place = at - 1 + (profile[at - 1] - MIN_CORRELATION) / max(profile[at - 1] - profile[at], 1e-6)
    return float(place / (1 - MIN_CORRELATION))


def _end_share(grey: np.ndarray) -> float:
    """Return the share, 0 to 1, of edges that lie across the lines around them, in calm areas: ends of strokes."""
    soft = cv2.GaussianBlur(grey, (0, 0), 1.6)
    x, y = cv2.Scharr(soft, cv2.CV_32F, 1, 0), cv2.Scharr(soft, cv2.CV_32F, 0, 1)
    double, change = (x * x - y * y) + 1j * (2 * x * y), cv2.magnitude(x, y)
    around = cv2.GaussianBlur(double.real, (0, 0), 9) + 1j * cv2.GaussianBlur(double.imag, (0, 0), 9)
    calm = _form_gradient(grey)
    here = calm <= np.quantile(calm, 0.4)
    edges = here & (change > 0.5 * np.quantile(change[here], 0.95))
    turned = np.cos(np.angle(double[edges]) - np.angle(around[edges]))
    return float((1 - turned.mean()) / 2) if edges.any() else 0.3


def _form_gradient(grey: np.ndarray) -> np.ndarray:
    """Return the gradient magnitude of the motif, from a blur that removes the strokes."""
    broad = cv2.GaussianBlur(grey, (0, 0), 16)
    return cv2.magnitude(cv2.Scharr(broad, cv2.CV_32F, 1, 0), cv2.Scharr(broad, cv2.CV_32F, 0, 1))


def _cut_sprites(detail: np.ndarray, places: np.ndarray, angles: np.ndarray, width: float, length: float) -> np.ndarray:
    """Return brush sprites that combine the painting's ridges with the outlines of a bristle brush.

    ``detail``: the ridges, (H, W). ``places`` and ``angles``: see ``_line_positions``. ``width`` and ``length``: of a
    stroke, in pixels.
    """
    outlines = brushes.sprites("bristle")
    made = []
    breadth, long = max(4, round(width)), max(8, round(length))
    for n, outline in enumerate(outlines):
        at = n * max(1, len(places) // len(outlines)) % len(places)
        part = cv2.resize(
            _rotated_crop(detail, places[at], angles[at], long, breadth),
            outline.shape[1::-1],
            interpolation=cv2.INTER_CUBIC,
        )
        low, high = np.quantile(part, [0.05, 0.95])
        ridges = np.clip((part - low) / max(high - low, 1e-3), 0, 1)
        cover = outline[..., 0]
        made.append(np.dstack([cover, (0.2 + 0.8 * ridges) * cover]))
    return np.stack(made).astype(np.float32)
