"""More scenes that are made up: balloons over a bay, and a mountain behind a great wave."""

from __future__ import annotations

import cv2
import numpy as np

from media.canvas import RNG, Array, clouds, mixed, steps, to_bytes
from media.scenes import SHAPE

BALLOONS = (
    (0.2, 0.3, 118, ((226, 50, 50), (250, 236, 210))),
    (0.56, 0.22, 92, ((250, 190, 40), (30, 90, 170))),
    (0.84, 0.36, 126, ((40, 150, 110), (250, 220, 80))),
    (0.4, 0.55, 70, ((240, 110, 150), (110, 50, 140))),
    (0.67, 0.6, 54, ((240, 120, 30), (250, 236, 210))),
    (0.06, 0.62, 52, ((30, 110, 190), (240, 240, 240))),
)


def balloons() -> Array:
    """Striped balloons over a bay with boats, without strokes."""
    height, width = SHAPE
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = mixed((40, 120, 205), (250, 214, 180), y / height / 0.7)
    puffs = clouds(SHAPE, 110) + 0.5 * clouds(SHAPE, 45) + 0.25 * clouds(SHAPE, 20)
    picture = mixed(picture, (252, 244, 236), steps(puffs, 0.3, 0.8))
    picture = mixed(picture, (130, 140, 200), 0.5 * steps(puffs, 0.9, 1.9))
    for base, colour in ((0.66, (110, 90, 160)), (0.7, (60, 120, 110)), (0.73, (90, 160, 80))):
        top = height * (base - 0.05 * np.sin(x / (60 + 200 * base) + 9 * base) - 0.02 * np.sin(x / 37))
        picture = mixed(picture, np.array(colour) + 16 * clouds(SHAPE, 30)[..., None], steps(y - top, -1, 1))
    sea = mixed((20, 110, 160), (20, 60, 120), (y / height - 0.76) * 5)
    sea = mixed(sea, (220, 236, 230), steps(np.sin(y / 5 + 3 * clouds(SHAPE, 60)) + 0.3 * clouds(SHAPE, 14), 0.8, 1.1))
    canvas = to_bytes(mixed(picture, sea, steps(y - 0.77 * height, -1, 1)))
    for cx, cy, size, hues in BALLOONS:
        canvas = balloon(canvas, cx * width, cy * height, size, hues)
    for cx, cy, size in ((0.2, 0.9, 64), (0.52, 0.84, 40), (0.78, 0.93, 76)):
        boat(canvas, np.array([cx * width, cy * height]), size)
    return canvas


def balloon(canvas: Array, cx: float, cy: float, size: float, hues: tuple[tuple[int, int, int], ...]) -> Array:
    """A balloon of ``size`` pixels' radius in two hues of cloth, lit from the left, and its basket."""
    y, x = np.mgrid[: canvas.shape[0], : canvas.shape[1]].astype(np.float32)
    dx, dy = (x - cx) / size, (y - cy) / size
    half = np.sqrt(np.clip(1 - dy * dy, 0, 1)) * np.where(dy > 0, 1 - 0.28 * dy, 1) + np.where(dy > 0, 0.12 * dy, 0)
    longitude = np.arcsin(np.clip(dx / (half + 1e-3), -1, 1))
    cloth = mixed(hues[0], hues[1], steps(np.sin(longitude * 7), -0.1, 0.1))
    cloth = mixed(cloth, hues[0], steps(np.sin(dy * 8), 0.75, 0.85))
    cloth = cloth * np.clip(1.08 - 0.34 * np.sin(longitude) - 0.2 * dy, 0.4, 1.25)[..., None]
    inside = steps((half - np.abs(dx)) * size, 0, 1.5) * (np.abs(dy) < 0.98)
    canvas = to_bytes(mixed(canvas, cloth, inside))
    for side in (-0.14, 0.14):
        ends = np.rint(
            np.array([(cx + side * size, cy + 0.95 * size), (cx + side * 0.7 * size, cy + 1.3 * size)])
        ).astype(int)
        cv2.line(canvas, ends[0].tolist(), ends[1].tolist(), (70, 50, 40), 2, cv2.LINE_AA)
    corner = np.rint([cx - 0.13 * size, cy + 1.28 * size, cx + 0.13 * size, cy + 1.5 * size]).astype(int).tolist()
    cv2.rectangle(canvas, corner[:2], corner[2:], (120, 80, 40), -1)
    return canvas


def boat(canvas: Array, place: Array, size: float) -> None:
    for corners, colour in (
        (((-0.7, 0), (0.7, 0), (0.45, 0.28), (-0.5, 0.28)), (150, 50, 40)),
        (((0.02, -1.2), (0.02, -0.08), (0.62, -0.08)), (250, 240, 220)),
        (((-0.06, -1.0), (-0.06, -0.08), (-0.5, -0.08)), (240, 170, 60)),
    ):
        cv2.fillPoly(canvas, [np.rint(place + size * np.array(corners)).astype(np.int32)], colour, cv2.LINE_AA)


PRUSSIAN, MIDDLE, PALE = (24, 48, 92), (72, 116, 156), (158, 188, 196)
BEIGE, SNOW, VERMILION, OCHRE = (240, 226, 194), (250, 246, 234), (200, 72, 48), (220, 170, 96)


def great_wave() -> Array:
    """A sun, bands of mist, a mountain with snow and rows of waves that lean over, in flat colours."""
    height, width = SHAPE
    canvas = np.full((*SHAPE, 3), BEIGE, np.uint8)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    cv2.circle(canvas, (int(0.8 * width), int(0.2 * height)), 84, VERMILION, -1)
    for left, right, top, thick, colour in (
        (-0.1, 0.42, 0.1, 38, OCHRE), (0.2, 0.72, 0.22, 30, PALE), (0.62, 1.1, 0.11, 34, OCHRE),
        (-0.1, 0.24, 0.32, 34, PALE), (0.7, 1.1, 0.33, 30, OCHRE), (0.4, 0.6, 0.05, 24, PALE),
    ):  # fmt: skip
        begins, ends, level = int(left * width), int(right * width), int(top * height)
        cv2.line(canvas, (begins, level), (ends, level), colour, thick, cv2.LINE_8)
        cv2.line(canvas, (begins + 90, level + thick), (ends - 70, level + thick), colour, thick - 8)
    slope = 0.2 * height + 0.5 * height * (np.abs(x / width - 0.46) * 2.2) ** 0.72
    canvas[y > slope] = MIDDLE
    canvas[(y > slope) & (y < 0.29 * height + 34 * np.abs((x / 44) % 2 - 1) + 0.2 * (slope - 0.2 * height))] = SNOW
    for row, (base, tall, long, lean, phase) in enumerate(
        (
            (0.6, 120, 330, 0.5, 0.3),
            (0.7, 150, 420, 0.8, 0.75),
            (0.82, 230, 560, 1.05, 0.12),
            (0.97, 150, 380, 0.7, 0.6),
        )
    ):
        wave_row(canvas, base * height, tall, long, lean, phase)
        if row == 1:
            longboat(canvas, np.array([0.62 * width, 0.76 * height]), 120)
    return canvas


def wave_row(canvas: Array, base: float, tall: float, long: float, lean: float, phase: float) -> None:
    """A row of waves of equal length, in bands of colour along their backs, with claws of foam."""
    t = np.linspace(-1.5, 5, 900)
    rise = (0.5 + 0.5 * np.cos(2 * np.pi * (t - phase))) ** 2.2
    bands = [
        (1.0, BEIGE),
        (0.93, PRUSSIAN),
        (0.8, PALE),
        (0.72, PRUSSIAN),
        (0.58, MIDDLE),
        (0.5, PALE),
        (0.43, PRUSSIAN),
    ]
    bands += [(0.3, PALE), (0.24, MIDDLE), (0.12, PRUSSIAN), (0.02, PALE), (-0.06, PRUSSIAN)]
    for share, colour in bands:
        up = tall * rise * share + 46 * (share - 1)
        crest = np.stack([long * t + lean * up + 26 * (1 - share), base - up], 1)
        body = np.concatenate([crest, [[crest[-1, 0], 2000], [crest[0, 0], 2000]]])
        cv2.fillPoly(canvas, [np.rint(body).astype(np.int32)], colour)
    up = tall * rise
    crest = np.stack([long * t + lean * up, base - up], 1)
    for point, high in list(zip(crest, rise, strict=True))[::4]:
        if high > 0.4:
            radius = int(7 + 15 * high * RNG.uniform(0.5, 1))
            place = point + RNG.normal(0, 7, 2) + [13 * high, 6 * high]
            cv2.circle(canvas, np.rint(place).astype(int).tolist(), radius, BEIGE, -1)
    for point in crest[(rise > 0.3)][::9]:
        drop = np.rint(point + np.array([RNG.uniform(0, 90), RNG.uniform(-46, 46)])).astype(int).tolist()
        cv2.circle(canvas, drop, int(RNG.integers(3, 8)), BEIGE, -1)


def longboat(canvas: Array, place: Array, size: float) -> None:
    hull = [(-1.1, -0.32), (-0.7, -0.06), (0.7, -0.06), (1.15, -0.36), (0.8, 0.2), (-0.7, 0.2)]
    cv2.fillPoly(canvas, [np.rint(place + size * np.array(hull)).astype(np.int32)], OCHRE)
    for shift in np.linspace(-0.6, 0.6, 6):
        head = np.rint(place + size * np.array([shift, -0.14])).astype(int)
        cv2.circle(canvas, head.tolist(), int(0.1 * size), VERMILION if shift < 0.3 else PRUSSIAN, -1)
