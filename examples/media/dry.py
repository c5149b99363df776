"""Charcoal, pastel, crayon and pencil: sticks that leave their colour on the tooth of the paper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from media.canvas import (
    RNG,
    Array,
    blur,
    clouds,
    draw_line,
    even,
    fractal,
    grey_of,
    mixed,
    more_colourful,
    smeared,
    steps,
    stroke_directions,
    to_bytes,
    wobbled,
)


@dataclass(frozen=True)
class Stick:
    """A stick of colour: the width, length and number of its strokes, and how far it reaches into the tooth."""

    width: float
    length: float
    count: int
    pressure: float  # from 0, the paper's summits only, to 1, everywhere
    turn: float = 0  # of strokes, from the directions of the picture, in radians


def layers(shape: tuple[int, int], directions: Array, stick: Stick, wanted: Array) -> Iterator[tuple[Array, Array]]:
    """Yield masks of strokes, 0 to 1, and the (N, 2) middle of the stroke of each pixel, where ``wanted`` is likely."""
    height, width = shape
    batch = max(60, int(0.7 * height * width / (stick.width * stick.length)))
    for start in range(0, stick.count, batch):
        number = np.zeros(shape, np.int32)
        middles = [(0.0, 0.0)]
        for _ in range(min(batch, stick.count - start)):
            x, y = RNG.uniform(0, width - 1), RNG.uniform(0, height - 1)
            if RNG.random() > wanted[int(y), int(x)]:
                continue
            field = directions[int(y), int(x)] + stick.turn + RNG.normal(0, 0.1)
            reach = stick.length * RNG.uniform(0.6, 1.2)
            bend = RNG.normal(0, 0.16) * np.linspace(-1, 1, 7)
            path = (np.stack([np.cos(field + bend), np.sin(field + bend)], 1) * reach / 7).cumsum(0)
            path += np.array([x, y]) - path[3]
            thick = max(1, round(stick.width * RNG.uniform(0.7, 1.2)))
            draw_line(number, path, len(middles), thick)
            middles.append((x, y))
        strength = RNG.uniform(0.6, 1, len(middles)).astype(np.float32)
        strength[0] = 0
        yield cv2.erode(blur(strength[number], 0.7), np.ones((3, 3))), np.array(middles, int)[number]


def tooth(shape: tuple[int, int], directions: Array, scale: int) -> Array:
    """The heights of paper, from 0 to 1, a little drawn out along the strokes."""
    return even(blur(fractal(shape, scale) + 1.4 * smeared(fractal(shape, scale), directions, 4), 0.7))


def on(grain: Array, stick: Stick) -> Array:
    """Return the contact of a stick with the paper, from 0 to 1."""
    return steps(grain, 0.75 - stick.pressure, 1.35 - stick.pressure)


# Charcoal


def charcoal(rgb: Array) -> Array:
    """Smudged darks, the side of the stick in streaks, dark lines, white chalk and an eraser, on toned paper."""
    grey = cv2.createCLAHE(2.5, (4, 4)).apply(grey_of(rgb))
    shape, tone = grey.shape, even(blur(grey, 2.5))
    directions = stroke_directions(grey, 9, -0.85 + 0.35 * clouds(shape, 260))
    grain = tooth(shape, directions, 3)
    smudge = smeared(blur(tone, 6) + 0.12 * fractal(shape, 30) + 0.07 * fractal(shape, 8), directions, 24, 2)
    dark = 0.9 * steps(-smudge, -0.85, -0.12) * (0.92 + 0.1 * grain)
    for stick, low in (
        (Stick(24, 130, 1500, 0.42), 0.95),
        (Stick(14, 80, 3000, 0.55, 0.25), 0.66),
        (Stick(8, 54, 3600, 0.75), 0.45),
        (Stick(5, 44, 4200, 0.95, -0.3), 0.26),
    ):
        for mask, _ in layers(shape, directions, stick, steps(-tone, -low, -0.3 * low)):
            dark = np.maximum(dark, (0.62 + 0.36 * stick.pressure) * mask * on(grain, stick))
    edges = blur(grey.astype(np.float32), 1.8) - blur(grey.astype(np.float32), 3.6)
    lines = smeared(steps(-edges, 2.5, 9), directions, 7) * (0.5 + 0.6 * steps(grain, 0.1, 0.5))
    dark = np.maximum(dark, np.clip(1.5 * lines, 0, 0.97))
    paper = np.array([206, 190, 164]) + 5 * (grain[..., None] - 0.5) + 3 * clouds(shape, 90)[..., None]
    picture = mixed(paper, (25, 23, 24), dark)
    for stick in (Stick(15, 80, 900, 0.55), Stick(7, 44, 900, 0.8)):
        for mask, _ in layers(shape, directions, stick, steps(tone, 0.74, 0.98)):
            picture = mixed(picture, (250, 246, 236), 0.92 * mask * on(grain, stick))
    return to_bytes(picture)


# Pastel


def pastel(rgb: Array) -> Array:
    """Broken strokes in pure hues over each other, on paper of a dusty violet."""
    rgb = to_bytes(0.86 * more_colourful(rgb, 1.15) + 0.14 * 250)
    grey = grey_of(rgb)
    shape = grey.shape
    directions = stroke_directions(grey, 8, 0.9 + 0.8 * clouds(shape, 220))
    grain = tooth(shape, directions, 3)
    paper = np.array([128, 112, 146]) + 10 * (grain[..., None] - 0.5)
    picture = mixed(paper, more_colourful(blur(rgb, 8), 1.2), 0.5 * smeared(grain, directions, 9) + 0.3)
    for stick in (
        Stick(30, 96, 1700, 0.62, 0.5),
        Stick(20, 72, 2600, 0.58, -0.2),
        Stick(12, 54, 3000, 0.66, 0.1),
    ):
        wanted = blur(rgb, stick.width / 4).astype(np.float32)
        for mask, middle in layers(shape, directions, stick, np.ones(shape)):
            hue = wanted[middle[..., 1], middle[..., 0]] + other(middle, 24)
            picture = mixed(picture, np.clip(hue, 0, 255), 0.9 * mask * on(grain, stick))
    return to_bytes(picture)


def other(middle: Array, amount: float) -> Array:
    """A shift of colour that is the same all over a stroke."""
    seed = (middle[..., 0] * 7919 + middle[..., 1] * 104729) % 4093
    return np.asarray(amount * RNG.standard_normal((4093, 3))[seed])


# Crayon


def crayon(rgb: Array) -> Array:
    """Waxy scribbles to and fro, a direction for each patch, and outlines in darker crayons, on white paper."""
    rgb = to_bytes(more_colourful(rgb, 1.5))
    shape = rgb.shape[:2]
    lean = np.round(1.6 * clouds(shape, 190)) * 0.7 + 0.9
    directions = stroke_directions(grey_of(rgb), 14, lean, 60)
    grain = tooth(shape, directions, 4)
    paper = np.array([252, 248, 238]) + 4 * (grain[..., None] - 0.5)
    wax = np.zeros((*shape, 3), np.float32)
    for stick in (Stick(30, 130, 900, 0.4), Stick(11, 120, 3400, 0.85, 0.06), Stick(8, 90, 2600, 0.8, 0.4)):
        for mask, middle in layers(shape, directions, stick, np.ones(shape)):
            hue = np.clip(rgb[middle[..., 1], middle[..., 0]] + other(middle, 18), 16, 246)
            share = (mask**1.5 * on(grain, stick))[..., None]
            wax = wax * (1 - 0.55 * share) - share * np.log(hue / 255) * (0.5 + 0.35 * stick.pressure)
    edges = cv2.Canny(blur(rgb, 2), 60, 140)
    lines = blur(cv2.dilate(edges, np.ones((5, 5), np.uint8)).astype(np.float32) / 255, 1.3)
    lines = wobbled(lines, 2, 30) * steps(grain, 0.1, 0.5)
    wax += 1.1 * lines[..., None] * -np.log(np.clip(0.5 * blur(rgb, 6) / 255, 0.06, 1))
    return to_bytes(paper * np.exp(-wax))


# Pencil


def pencil(rgb: Array) -> Array:
    """Graphite: crossed layers of parallel strokes, more where it is dark, and searching outlines."""
    grey = cv2.createCLAHE(2.0, (4, 4)).apply(grey_of(rgb))
    shape, tone = grey.shape, even(blur(grey, 2))
    tone = 0.5 * tone + 0.5 * blur(grey, 2).astype(np.float32) / 255
    grain = even(fractal(shape, 3))
    slope = 0.9 + 0.2 * clouds(shape, 260)
    along = stroke_directions(grey, 8, slope, 30)
    lead = 0.16 * steps(-smeared(blur(tone, 3), along, 8), -0.75, -0.1) * (0.7 + 0.6 * grain)
    for turn, low in ((0.0, 0.92), (0.6, 0.7), (-0.5, 0.54), (1.2, 0.4), (0.15, 0.27)):
        likely = steps(-tone, -low, -0.6 * low)
        kept = steps(-blur(tone, 3), -low - 0.1, -low + 0.02)
        for mask, _ in layers(shape, along, Stick(4, 66, 5200, 0.9, turn), likely):
            stroke = mask * kept * (0.72 + 0.28 * grain)
            lead = np.maximum(lead + 0.22 * stroke, 0.6 * stroke)
    smooth = cv2.bilateralFilter(grey, 9, 60, 7).astype(np.float32)
    lines = steps(blur(smooth, 3.2) - blur(smooth, 1.5), 1.2, 6)
    for _ in range(2):
        lead = np.maximum(lead, 0.85 * smeared(wobbled(lines, 2.5, 90), along, 6) * (0.6 + 0.4 * grain))
    paper = np.array([244, 242, 236]) + 4 * (grain[..., None] - 0.5)
    return to_bytes(mixed(paper, (44, 46, 54), np.clip(lead, 0, 0.95)))
