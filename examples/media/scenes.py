"""Subjects of the style pictures: photographs that scikit-image ships, and scenes that this program draws."""

from __future__ import annotations

import cv2
import numpy as np
from skimage import data

from media.canvas import RNG, WIDTH, Array, clouds, mixed, steps, to_bytes


def photograph() -> Array:
    """A portrait of NASA's, which is in the public domain."""
    side = (WIDTH, WIDTH)
    return np.asarray(cv2.resize(data.astronaut(), side, interpolation=cv2.INTER_CUBIC))


def landscape() -> Array:
    """A sky with a sun, hills, a field, trees and a house, without strokes."""
    shape = (WIDTH * 3 // 4, WIDTH)
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = mixed((28, 58, 140), (120, 180, 214), y / height / 0.42)
    picture = mixed(picture, (250, 226, 150), (y / height - 0.30) / 0.18)
    cloud, high = clouds(shape, 90) + 0.6 * clouds(shape, 40), 1 - 1.8 * y / height
    picture = mixed(picture, (236, 240, 232), np.clip(1.1 * (cloud - 0.35), 0, 0.8) * np.clip(high, 0, 1))
    picture = mixed(picture, (40, 76, 160), np.clip(-cloud - 0.5, 0, 0.7) * np.clip(high, 0, 1))
    to_sun = np.hypot(x - 0.68 * width, y - 0.2 * height)
    picture = mixed(picture, (255, 214, 90), np.clip(1.25 - to_sun / 120, 0, 1) ** 1.2)
    picture = mixed(picture, (255, 246, 190), (52 - to_sun) / 6)
    for base, waves, top, foot in (
        (0.43, 1.2, (96, 110, 176), (120, 140, 190)),
        (0.49, 0.9, (62, 110, 120), (110, 150, 110)),
        (0.57, 0.8, (58, 120, 66), (150, 170, 70)),
    ):
        below = y - height * ridge(base, waves)
        hill = mixed(top, foot, below / (0.12 * height)) + 10 * clouds(shape, 50)[..., None]
        picture = np.where(below[..., None] > 0, hill, picture)
    below = y - height * ridge(0.66, 0.7)
    rows = np.sin(1.4 * (x - width / 2) / (12 + 0.22 * below.clip(0)) + 0.5 * clouds(shape, 80))
    field = mixed((222, 168, 52), (250, 214, 96), 0.5 + 0.5 * rows)
    field = mixed(field, (176, 92, 40), np.clip(below / (0.34 * height) - 0.45, 0, 0.6))
    field = mixed(field, (120, 140, 54), np.clip(clouds(shape, 70) - 0.7, 0, 0.8))
    field = np.where(clouds(shape, 9)[..., None] > 2.15, (214, 52, 40), field)  # poppies
    picture = np.where(below[..., None] > 0, field, picture)
    add_house(picture)
    for middle, base, tall, wide in ((0.42, 0.72, 0.42, 0.03), (0.47, 0.74, 0.3, 0.024), (0.9, 0.7, 0.24, 0.05)):
        up = (base - y / height) / tall
        half = wide * width * np.sin(np.pi * up.clip(0, 1) ** 0.75).clip(0) ** 0.8 * (1 + 0.18 * clouds(shape, 24))
        inside = (np.abs(x - middle * width - 8 * np.sin(y / 40)) < half) & (up > 0) & (up < 1)
        tree = mixed((20, 54, 44), (70, 120, 58), 0.5 + 0.5 * clouds(shape, 16))
        picture = np.where(inside[..., None], tree, picture)
    return to_bytes(picture)


def ridge(base: float, waves: float) -> Array:
    """The height of a hill's top over the picture's width, as a share of its height."""
    x = np.arange(WIDTH) / WIDTH
    parts = [0.03 / k**1.1 * np.sin(2 * np.pi * (k * waves * x + RNG.random())) for k in range(1, 6)]
    return np.asarray(base + sum(parts))


def add_house(picture: Array) -> None:
    size = np.array([picture.shape[1], picture.shape[0]])
    for corners, colour in (
        (((0.20, 0.55), (0.29, 0.66)), (240, 226, 200)),
        (((0.26, 0.55), (0.29, 0.66)), (170, 160, 190)),
        (((0.215, 0.59), (0.235, 0.66)), (60, 80, 140)),
    ):
        (x0, y0), (x1, y1) = (np.array(corners) * size).astype(int).tolist()
        picture[y0:y1, x0:x1] = colour
    roof = (np.array([(0.185, 0.56), (0.245, 0.49), (0.305, 0.56)]) * size).astype(np.int32)
    cv2.fillPoly(picture, [roof], (196, 70, 48))


# For the media of the gallery

SHAPE = (WIDTH * 3 // 4, WIDTH)


def photo(name: str, zoom: float = 1, middle: tuple[float, float] = (0.5, 0.5)) -> Array:
    """A photograph of scikit-image's as large as the style pictures; ``zoom`` around ``middle``, (x, y) from 0 to 1."""
    rgb = getattr(data, name)()
    rgb = np.stack([rgb] * 3, 2) if rgb.ndim == 2 else rgb
    scale = zoom * max(SHAPE[0] / rgb.shape[0], SHAPE[1] / rgb.shape[1])
    large = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    y, x = (round(m * (a - b)) for m, a, b in zip(middle[::-1], large.shape, SHAPE, strict=False))
    cut = large[y : y + SHAPE[0], x : x + SHAPE[1]]
    return np.ascontiguousarray(cv2.bilateralFilter(cut, 7, 20, 5))


def still_life() -> Array:
    """A vase with flowers, fruits and a striped cloth, without strokes."""
    height, width = SHAPE
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = mixed((64, 104, 134), (150, 180, 170), 0.5 + 0.3 * clouds(SHAPE, 200) + 0.3 * (x / width - 0.5))
    below = steps(y - (0.66 * height + 12 * np.sin(x / 190)), -2, 2)
    folds = (x + 0.35 * (y - 0.66 * height) * (x / width - 0.5) * 3 + 14 * np.sin(y / 60)) / 74
    cloth = mixed((240, 226, 200), (198, 70, 70), steps(np.abs(folds % 1 - 0.5), 0.2, 0.23))
    cloth = mixed(cloth, (92, 82, 130), 0.25 + 0.25 * np.sin(x / 70 + 0.8 * clouds(SHAPE, 120)))
    picture = mixed(picture, cloth, below)
    for cx, base, wide, tall in ((0.45, 0.9, 0.1, 0.42),):
        up = (base * height - y) / (tall * height)
        half = wide * width * (0.62 + 0.42 * np.sin(np.pi * (up.clip(0, 1) * 0.95 + 0.1)))
        across = (x - cx * width) / half
        inside = (np.abs(across) < 1) & (up > 0) & (up < 1)
        vase = mixed((34, 74, 150), (170, 210, 236), np.clip(0.55 - 0.8 * across - 0.4 * across**2, 0, 1))
        band = np.abs(up - 0.45 - 0.03 * np.sin(across * 9)) < 0.06
        vase = np.where(band[..., None], mixed((240, 236, 220), (130, 140, 170), 0.5 + 0.5 * across), vase)
        picture = np.where(inside[..., None], vase, picture)
    for cx, cy, radius, colour in (
        (0.68, 0.82, 0.075, (236, 150, 30)), (0.79, 0.86, 0.07, (214, 50, 44)), (0.2, 0.83, 0.08, (238, 200, 50)),
        (0.31, 0.9, 0.062, (120, 160, 60)), (0.73, 0.93, 0.06, (226, 120, 40)), (0.9, 0.8, 0.06, (130, 70, 130)),
        (0.08, 0.9, 0.07, (206, 60, 60)), (0.57, 0.93, 0.055, (170, 190, 70)),
    ):  # fmt: skip
        picture = with_ball(picture, cx * width, cy * height, radius * width, colour)
    return to_bytes(with_flowers(picture))


def with_ball(picture: Array, cx: float, cy: float, radius: float, colour: tuple[int, int, int]) -> Array:
    """A fruit, lit from the left, and its shadow."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    dx, dy = (x - cx) / radius, (y - cy) / radius
    picture = mixed(picture, (60, 50, 90), 0.65 * steps(-np.hypot(dx - 0.5, 2.2 * (dy - 0.75)), -1.15, -0.7))
    light = np.clip(0.75 - 0.45 * dx - 0.5 * dy - 0.35 * (dx * dx + dy * dy), 0, 1.4)
    dark = np.array(colour) * 0.35 + np.array([20, 0, 30])
    ball = mixed(mixed(dark, colour, 1.4 * light), (255, 244, 220), 1.6 * (light - 0.9))
    return mixed(picture, ball, steps(-np.hypot(dx, dy), -1, -0.97))


def with_flowers(picture: Array) -> Array:
    """Leaves and flowers of five to nine petals over the vase's mouth."""
    height, width = SHAPE
    canvas = to_bytes(picture)
    mouth = np.array([0.45 * width, 0.5 * height])
    places = [(0.45, 0.2), (0.3, 0.28), (0.6, 0.27), (0.36, 0.1), (0.55, 0.1), (0.22, 0.13), (0.7, 0.14), (0.42, 0.39)]
    places += [(0.54, 0.4), (0.28, 0.42), (0.66, 0.41), (0.13, 0.3), (0.8, 0.31)]
    for _ in range(90):
        place = np.array(places[RNG.integers(len(places))]) * [width, height] + RNG.normal(0, 46, 2)
        angle = np.degrees(np.arctan2(*(place - mouth)[::-1])) + RNG.normal(0, 40)
        green = tuple(map(int, np.array([40, 90, 50]) + RNG.normal(0, 1) * 22 + RNG.normal(0, 14, 3)))
        size = (int(RNG.uniform(28, 60)), int(RNG.uniform(9, 18)))
        cv2.ellipse(canvas, tuple(map(int, place)), size, angle, 0, 360, green, -1, cv2.LINE_AA)
    hues = [(226, 60, 70), (250, 190, 60), (236, 120, 150), (240, 232, 216), (150, 80, 170), (244, 130, 50)]
    for number, middle in enumerate(places):
        flower(canvas, np.array(middle) * [width, height], RNG.uniform(44, 72), np.array(hues[number % len(hues)]))
    return canvas


def flower(canvas: Array, place: Array, radius: float, colour: Array) -> None:
    turn, petals = RNG.uniform(0, 360), int(RNG.integers(5, 10))
    for ring, shade in ((1.0, 0.72), (0.72, 1.0), (0.45, 1.12)):
        for k in range(petals):
            angle = turn + 360 * k / petals + 30 * ring
            out = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
            petal = colour * shade * (1 - 0.16 * out[1]) + RNG.normal(0, 7)
            size = (int(0.52 * radius * ring), int(1.35 * radius * ring / petals))
            at = place + 0.5 * radius * ring * out
            ink = tuple(map(int, np.clip(petal, 0, 255)))
            cv2.ellipse(canvas, tuple(map(int, at)), size, angle, 0, 360, ink, -1, cv2.LINE_AA)
    cv2.circle(canvas, tuple(map(int, place)), int(0.2 * radius), (90, 56, 30), -1, cv2.LINE_AA)
    cv2.circle(canvas, tuple(map(int, place - 2)), int(0.13 * radius), (220, 160, 50), -1, cv2.LINE_AA)


def fishes() -> Array:
    """Fishes in waves, without strokes."""
    height, width = SHAPE
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wave = y + 42 * np.sin(x / 120 + y / 260) + 20 * np.sin(x / 47 - y / 110) + 20 * clouds(SHAPE, 200)
    picture = mixed((36, 92, 150), (120, 196, 190), 0.5 + 0.6 * np.sin(wave / 30))
    picture = mixed(picture, (240, 230, 200), steps(np.sin(wave / 30 + 1.2), 0.35, 0.6))
    picture = mixed(picture, (20, 44, 90), steps(-np.sin(wave / 30 + 0.9), 0.75, 0.9))
    canvas = to_bytes(picture)
    for cx, cy, size, turn, hues in (
        (0.3, 0.27, 440, 0.22, ((206, 60, 36), (246, 180, 60))),
        (0.68, 0.63, 480, 2.9, ((180, 84, 36), (250, 214, 110))),
        (0.2, 0.78, 330, -0.25, ((150, 36, 50), (240, 150, 120))),
        (0.82, 0.17, 300, 3.5, ((40, 100, 60), (190, 204, 90))),
    ):
        fish(canvas, np.array([cx * width, cy * height]), size, turn, np.array(hues, np.float32))
    return canvas


def fish(canvas: Array, middle: Array, size: float, turn: float, hues: Array) -> None:
    """A fish of ``size`` pixels from nose to tail, dark at its back, with fins, bands, an eye and an outline."""
    y, x = np.mgrid[: canvas.shape[0], : canvas.shape[1]].astype(np.float32)
    dx, dy = (x - middle[0]) / size * 2, (y - middle[1]) / size * 2
    along = dx * np.cos(turn) + dy * np.sin(turn)
    across = (dy * np.cos(turn) - dx * np.sin(turn)) * (1 if np.cos(turn) > 0 else -1)
    half = 0.36 * np.sin(np.pi * np.clip((along + 1.05) / 2, 0, 1)) ** 0.8
    body = (half - np.abs(across)) * 12
    tail = 12 * np.minimum(0.1 - (along + 0.82) * 0.9 - np.abs(np.abs(across) - 0.2), along + 1.3)
    fins = 10 * (0.2 - np.hypot((along + 0.05) / 1.6, np.abs(across) - half * 0.95))
    for shape, colour in ((fins, hues[0]), (tail, mixed(hues[0], hues[1], 0.5 + 0.5 * np.sin(across * 40)))):
        canvas[:] = to_bytes(
            mixed(mixed(canvas, (24, 22, 36), steps(shape, -0.3, 0.1)), colour, steps(shape, 0.1, 0.4))
        )
    scales = np.sin(along * 26 + 3 * across**2) * np.cos(across * 30)
    skin = mixed(hues[0], hues[1], 0.55 + 1.3 * across + 0.22 * scales)
    skin = mixed(skin, (250, 240, 214), steps(across / (half + 1e-3), 0.5, 0.95))
    skin = mixed(skin, (30, 40, 80), steps(np.sin(along * 11), 0.75, 0.95) * (along < 0.4))
    skin = mixed(
        skin, (40, 30, 40), steps(-np.abs(np.hypot(along - 0.25, across) - 0.34), -0.05, -0.02) * (along > 0.4)
    )
    canvas[:] = to_bytes(mixed(mixed(canvas, (24, 22, 36), steps(body, -0.45, 0)), skin, steps(body, 0, 0.35)))
    eye = np.hypot(along - 0.72, across + 0.06)
    for radius, colour in ((0.085, (250, 244, 226)), (0.05, (16, 16, 24))):
        canvas[:] = to_bytes(mixed(canvas, colour, steps(-eye, -radius, -radius + 0.02)))
