"""A medium made from a painting: its strokes' width, length and bend, how they differ, and brushes cut from it."""

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

VERSION = 1  # of what is found in a painting
LINES = 480  # short side in pixels at which a painting is looked at
SMALLEST = 128  # pixels a side of a painting
SIDE = 64  # of the patches in which strokes are measured, in pixels
PATCHES = 160  # at most
LEFT = 0.25  # correlation of what lies side by side; of strokes of one width it falls evenly to 0 at that width
BRUSH = "cut"  # name of the layers' brush
HAIRS, WIDE = 2.0, 16.0  # σ in pixels that even out the ridges of single hairs, and what is no detail
# Measured on our own strokes of known width and length, on two pictures. Of a width of 14 lines the detail is alike
# over 10.6 lines, and less than in proportion for others, since what is painted is alike, too. Of strokes as long as
# wide, 1 / (1 + ENDS) of the edges are ends.
TYPICAL, TYPICAL_REACH, STEEP, ENDS = 14.0, 10.6, 3.3, 1.25


@dataclass(frozen=True)
class Found:
    """What was found in a painting: lengths in lines of 480, the bend in radians, deviations in [0, 1].

    ``sprites``: see ``brushes.sprites``.
    """

    width: float
    length: float
    bend: float
    light: float
    colour: float
    sprites: np.ndarray


def medium_of_painting(path: Path, base: Medium) -> Medium:
    """Return ``base`` with the strokes of the painting in a file, and brushes cut from it.

    Raises MediaError, and UsageError for a picture that shows no strokes: it is too small, or of one colour.
    """
    painting = read_picture(path)
    if min(painting.shape[:2]) < SMALLEST:
        why = f"its {painting.shape[1]}x{painting.shape[0]} pixels show no strokes"
        raise UsageError(f"painting {path}", why, f"give one of at least {SMALLEST} pixels a side")
    if not np.ptp(painting, axis=(0, 1)).any():
        raise UsageError(f"painting {path}", "it is of one colour", "give a picture that shows strokes")
    found = find_strokes(painting)
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


def find_strokes(painting: np.ndarray) -> Found:
    """Return the strokes of a painting (H, W, 3) uint8; the same picture at another size has the same.

    Their width comes from how far detail is alike across its lines, their length from the share of edges that lie
    across them: strokes of the same width that are longer have fewer ends.
    """
    height, width = painting.shape[:2]
    size = Size(short=LINES).of(width, height)
    method = cv2.INTER_AREA if size[0] <= width else cv2.INTER_CUBIC
    seen = cv2.resize(painting, size, interpolation=method).astype(np.float32) * np.float32(1 / 255)
    grey = cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY)
    detail = cv2.GaussianBlur(grey, (0, 0), HAIRS) - cv2.GaussianBlur(grey, (0, 0), WIDE)
    angles, places, turn = _places(grey)
    patches = np.stack([_turned(detail, place, angle, SIDE, SIDE) for place, angle in zip(places, angles, strict=True)])
    across = float(np.clip(TYPICAL * (_reach(patches) / TYPICAL_REACH) ** STEEP, 5, 40))
    ratio = float(np.clip((1 / max(_ends(grey), 0.05) - 1) / ENDS, 1.2, 7))
    tints = [seen[..., k] - grey for k in range(3)]
    spread = [float((one - cv2.GaussianBlur(one, (0, 0), across)).std()) for one in (grey, *tints)]
    ridges = grey - cv2.GaussianBlur(grey, (0, 0), across / 2)
    return Found(
        width=across,
        length=across * ratio,
        bend=float(np.clip(turn * across * ratio, 0.1, 1.5)),
        light=float(np.clip(spread[0], 0.02, 0.15)),
        colour=float(np.clip(np.mean(spread[1:]), 0.008, 0.1)),
        sprites=_cut(ridges, places, angles, across, across * ratio),
    )


def _places(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the angles (n,) and places (n, 2) of the clearest lines, and the mean turn of lines over a pixel."""
    x, y = cv2.Scharr(grey, cv2.CV_32F, 1, 0), cv2.Scharr(grey, cv2.CV_32F, 0, 1)
    tensor = cv2.GaussianBlur(cv2.merge([x * x - y * y, 2 * x * y, x * x + y * y]), (0, 0), 4)
    double, energy = tensor[..., 0] + 1j * tensor[..., 1], tensor[..., 2]
    clear = np.abs(double) / (energy + np.quantile(energy, 0.1) + 1e-9)
    # In calm places strokes are all that is seen: where the picture itself changes, its edges would be measured.
    calm = _changes(grey)
    margin = SIDE // 2 + 8
    rows, columns = np.mgrid[margin : grey.shape[0] - margin : 12, margin : grey.shape[1] - margin : 12]
    rows, columns = rows.ravel(), columns.ravel()
    calmest = np.argsort(calm[rows, columns], kind="stable")[: max(1, len(rows) // 3)]
    rows, columns = rows[calmest], columns[calmest]
    order = np.argsort(-clear[rows, columns], kind="stable")[:PATCHES]
    rows, columns = rows[order], columns[order]
    angles = np.angle(-double[rows, columns]) / 2  # along the lines, so across the gradient
    step = 6
    ahead_x = np.clip((columns + step * np.cos(angles)).astype(int), 0, grey.shape[1] - 1)
    ahead_y = np.clip((rows + step * np.sin(angles)).astype(int), 0, grey.shape[0] - 1)
    turn = np.abs(np.angle(double[ahead_y, ahead_x] * np.conj(double[rows, columns]))) / 2 / step
    return angles, np.stack([columns, rows], 1), float(np.median(turn))


def _turned(picture: np.ndarray, place: np.ndarray, angle: float, length: int, breadth: int) -> np.ndarray:
    """Return a part (breadth, length) of a picture around a place, turned so that its lines lie horizontally."""
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = np.meshgrid(np.arange(length) - (length - 1) / 2, np.arange(breadth) - (breadth - 1) / 2)
    x, y = (place[0] + cos * u - sin * v).astype(np.float32), (place[1] + sin * u + cos * v).astype(np.float32)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _reach(patches: np.ndarray) -> float:
    """Return how far patches (n, SIDE, SIDE), whose lines are horizontal, are alike vertically, in pixels."""
    window = np.outer(np.hanning(SIDE), np.hanning(SIDE))

    def correlation(parts: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.fft2(parts, s=(2 * SIDE, 2 * SIDE))) ** 2
        made: np.ndarray = np.fft.ifft2(power.mean(0)).real[: SIDE // 2, 0]
        return made / made[0]

    centred = patches - patches.mean((1, 2), keepdims=True)
    profile = correlation(centred * window) / np.maximum(correlation(window[None]), 0.05)
    # Where a correlation that falls evenly from 1, as far as ``LEFT``, would reach 0.
    below = np.flatnonzero(profile < LEFT)
    if not len(below):
        return len(profile) / (1 - LEFT)
    at = below[0]
    place = at - 1 + (profile[at - 1] - LEFT) / max(profile[at - 1] - profile[at], 1e-6)
    return float(place / (1 - LEFT))


def _ends(grey: np.ndarray) -> float:
    """Return the share of edges that lie across the lines around them, in calm places."""
    soft = cv2.GaussianBlur(grey, (0, 0), 1.6)
    x, y = cv2.Scharr(soft, cv2.CV_32F, 1, 0), cv2.Scharr(soft, cv2.CV_32F, 0, 1)
    double, change = (x * x - y * y) + 1j * (2 * x * y), cv2.magnitude(x, y)
    around = cv2.GaussianBlur(double.real, (0, 0), 9) + 1j * cv2.GaussianBlur(double.imag, (0, 0), 9)
    calm = _changes(grey)
    here = calm <= np.quantile(calm, 0.4)
    edges = here & (change > 0.5 * np.quantile(change[here], 0.95))
    turned = np.cos(np.angle(double[edges]) - np.angle(around[edges]))
    return float((1 - turned.mean()) / 2) if edges.any() else 0.3


def _changes(grey: np.ndarray) -> np.ndarray:
    """Return how far the picture itself changes, not its strokes."""
    broad = cv2.GaussianBlur(grey, (0, 0), 16)
    return cv2.magnitude(cv2.Scharr(broad, cv2.CV_32F, 1, 0), cv2.Scharr(broad, cv2.CV_32F, 0, 1))


def _cut(detail: np.ndarray, places: np.ndarray, angles: np.ndarray, width: float, length: float) -> np.ndarray:
    """Return sprites whose ridges are those of the painting, with the outlines of a bristle brush."""
    outlines = brushes.sprites("bristle")
    made = []
    breadth, long = max(4, round(width)), max(8, round(length))
    for n, outline in enumerate(outlines):
        at = n * max(1, len(places) // len(outlines)) % len(places)
        part = cv2.resize(
            _turned(detail, places[at], angles[at], long, breadth), outline.shape[1::-1], interpolation=cv2.INTER_CUBIC
        )
        low, high = np.quantile(part, [0.05, 0.95])
        ridges = np.clip((part - low) / max(high - low, 1e-3), 0, 1)
        cover = outline[..., 0]
        made.append(np.dstack([cover, (0.2 + 0.8 * ridges) * cover]))
    return np.stack(made).astype(np.float32)
