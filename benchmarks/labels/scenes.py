"""Rendered scenes whose labels are known: a ray caster of spheres and boxes over a ground, with light and texture.

Two scenes, each of 160 frames: ``street`` (the camera drives past buildings and trees, cars and people cross) and
``table`` (the camera goes around blocks and balls that pass behind each other). Colours of classes overlap, so that a
pixel's colour does not say its class; the clip is H.264 with noise, the label maps are exact.

    python -m benchmarks.labels.scenes OUT
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vidtrans.video.images.picture import write_picture
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat

SIZE = (256, 144)
FRAMES, RATE = 160, 25
LIGHT = np.array([0.5, 0.75, -0.45]) / np.linalg.norm([0.5, 0.75, -0.45])
FAR = 1e6


@dataclass(frozen=True)
class Body:
    """A sphere (``half`` has one number: its radius) or a box (its half sides), of a class, with two colours."""

    label: int
    centre: Callable[[float], Sequence[float]]
    half: tuple[float, ...]
    colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    pattern: float = 2.0


@dataclass(frozen=True)
class LabelledScene:
    """Bodies over a ground; ``camera(t)``, t from 0 to 1: place, target and field of view in degrees."""

    name: str
    classes: dict[str, str]  # '#rrggbb' by name: sky first, then the ground's two kinds
    bodies: tuple[Body, ...]
    camera: Callable[[float], tuple[np.ndarray, np.ndarray, float]]
    ground: Callable[[np.ndarray, np.ndarray], np.ndarray]  # 1 or 2 at x, z
    ground_colours: tuple[tuple[int, int, int], tuple[int, int, int]]

    @property
    def palette(self) -> str:
        """The colours of the classes in order."""
        return " ".join(self.classes.values())

    def render(self, t: float, size: tuple[int, int] = SIZE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the picture (H, W, 3) uint8 and the labels (H, W) uint8 at a time from 0 to 1."""
        width, height = size
        place, target, angle = self.camera(t)
        rays = _rays(place, target, angle, 2 * width, 2 * height)
        distance, label, normal, albedo = self._hit(place, rays, t)
        point = place + np.where(distance < FAR, distance, 0)[..., None] * rays
        shade = np.clip(normal @ LIGHT, 0, 1)
        shadow = self._hit(point + 1e-3 * normal, np.broadcast_to(LIGHT, rays.shape), t, only_bodies=True)[0] < FAR
        light = 0.38 + 0.62 * np.where(shadow, 0.0, shade)
        sky = label == 0
        rgb = albedo * np.where(sky, 1.0, light)[..., None]
        haze = np.where(sky, 0.0, 1 - np.exp(-distance / 60))[..., None]
        rgb = rgb * (1 - haze) + haze * np.array([200, 210, 222])
        small = cv2.resize(rgb.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        grain = np.random.default_rng(seed).normal(0, 3, small.shape)
        return np.clip(small + grain, 0, 255).astype(np.uint8), label[::2, ::2].astype(np.uint8)

    def _hit(
        self, start: np.ndarray, rays: np.ndarray, t: float, *, only_bodies: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return distance, label, normal and colour of what rays meet first."""
        shape = rays.shape[:-1]
        start = np.broadcast_to(start, rays.shape)
        distance, label = np.full(shape, FAR), np.zeros(shape, int)
        normal, albedo = np.zeros((*shape, 3)), np.zeros((*shape, 3))
        up = np.clip(rays[..., 1], 0, 1)[..., None]
        albedo[:] = np.array([205, 215, 228]) * (1 - up) + np.array([110, 150, 205]) * up
        if not only_bodies:
            down = rays[..., 1] < -1e-6
            along = np.where(down, -start[..., 1] / np.where(down, rays[..., 1], 1), FAR)
            x, z = start[..., 0] + along * rays[..., 0], start[..., 2] + along * rays[..., 2]
            kind = self.ground(x, z)
            nearer = down & (along < 400)
            colours = np.array(self.ground_colours, float)[kind - 1]
            texture = 1 + 0.12 * np.sin(3.1 * x + 1.7 * np.sin(2.3 * z)) * np.sin(2.7 * z) + 0.1 * _noise(x, z)
            distance = np.where(nearer, along, distance)
            label = np.where(nearer, kind, label)
            normal[nearer] = (0, 1, 0)
            albedo = np.where(nearer[..., None], colours * texture[..., None], albedo)
        products = np.einsum("hwc,hwc->hw", start, rays), np.einsum("hwc,hwc->hw", start, start)
        for body in self.bodies:
            centre = np.array(body.centre(t), float)
            self._meet(body, centre, start, rays, products, (distance, label, normal, albedo))
        return distance, label, normal, albedo

    @staticmethod
    def _meet(
        body: Body,
        centre: np.ndarray,
        start: np.ndarray,
        rays: np.ndarray,
        products: tuple[np.ndarray, np.ndarray],
        found: tuple[np.ndarray, ...],
    ) -> None:
        """Put a body into what rays meet first: distance, label, normal and colour."""
        distance, label, normal, albedo = found
        # Only rays that pass through the ball around it are looked at.
        along = products[0] - rays @ centre
        near = products[1] - 2 * (start @ centre) + centre @ centre - along * along < np.dot(body.half, body.half)
        places = np.nonzero(near)
        if not len(places[0]):
            return
        offset, some = start[places] - centre, rays[places]
        one = len(body.half) == 1
        along, facing = _sphere(offset, some, body.half[0]) if one else _box(offset, some, np.array(body.half))
        nearer = along < distance[places]
        places = tuple(axis[nearer] for axis in places)
        inside = offset[nearer] + along[nearer, None] * some[nearer]
        wave = np.sin(body.pattern * inside[:, 0] * 3) * np.sin(body.pattern * inside[:, 1] * 3 + 0.7)
        share = (0.5 + 0.5 * np.tanh(4 * (wave + np.sin(body.pattern * inside[:, 2] * 3 + 1.3))))[:, None]
        first, second = (np.array(colour, float) for colour in body.colours)
        distance[places], label[places] = along[nearer], body.label
        normal[places], albedo[places] = facing[nearer], first * (1 - share) + second * share

    def write(self, folder: Path, frames: int = FRAMES, size: tuple[int, int] = SIZE, fps: int = RATE) -> Path:
        """Write ``NAME.mp4`` and the label maps ``NAME.labels/`` in colours; return the clip's path."""
        clip, maps = folder / f"{self.name}.mp4", folder / f"{self.name}.labels"
        maps.mkdir(parents=True, exist_ok=True)
        table = np.array([list(bytes.fromhex(c[1:])) for c in self.classes.values()], np.uint8)
        rate = Fraction(fps)
        form = PictureFormat(*size, Fraction(1), 1 / rate, rate)
        writer = SegmentWriter(clip, form, EncodingSettings(codec="h264", crf=18))
        for n in range(frames):
            picture, labels = self.render(n / frames, size, n)
            writer.write(picture, n)
            write_picture(maps / f"{n:06d}.png", table[labels])
        writer.close()
        return clip


def _rays(place: np.ndarray, target: np.ndarray, angle: float, width: int, height: int) -> np.ndarray:
    forward = (target - place) / np.linalg.norm(target - place)
    right = np.cross((0.0, 1.0, 0.0), forward)
    right /= np.linalg.norm(right)
    up = np.cross(forward, right)
    reach = np.tan(np.radians(angle) / 2)
    x = (np.arange(width) + 0.5 - width / 2) / (width / 2) * reach
    y = -(np.arange(height) + 0.5 - height / 2) / (width / 2) * reach
    rays = forward + x[None, :, None] * right + y[:, None, None] * up
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def _sphere(start: np.ndarray, rays: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    b = (start * rays).sum(-1)
    root = b * b - (start * start).sum(-1) + radius * radius
    along = -b - np.sqrt(np.maximum(root, 0))
    along = np.where((root > 0) & (along > 1e-4), along, FAR)
    return along, (start + along[..., None] * rays) / radius


def _box(start: np.ndarray, rays: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    safe = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    one, other = (-half - start) / safe, (half - start) / safe
    near, far = np.minimum(one, other), np.maximum(one, other)
    along, end = near.max(-1), far.min(-1)
    along = np.where((along < end) & (along > 1e-4), along, FAR)
    axis = near.argmax(-1)
    facing = np.zeros(rays.shape)
    np.put_along_axis(facing, axis[..., None], -np.sign(np.take_along_axis(rays, axis[..., None], -1)), -1)
    return along, facing


def _noise(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    cell = np.floor(x * 4).astype(np.int64) * 73856093 ^ np.floor(z * 4).astype(np.int64) * 19349663
    return (cell % 1024) / 512 - 1


def _still(*place: float) -> Callable[[float], Sequence[float]]:
    return lambda t: place


GREY, BROWN, GREEN, BRICK, WHITE, DARK = (
    (128, 126, 122),
    (122, 96, 72),
    (84, 104, 62),
    (146, 88, 70),
    (210, 206, 196),
    (58, 60, 66),
)


def _street() -> LabelledScene:
    rng = np.random.default_rng(7)
    bodies = []
    for k in range(9):
        for side in (-1, 1):
            tall, wide = rng.uniform(2.5, 6), rng.uniform(1.6, 3)
            colours = [(GREY, WHITE), (BRICK, BROWN), (WHITE, DARK), (BROWN, GREEN)][int(rng.integers(4))]
            bodies.append(
                Body(3, _still(side * (9 + rng.uniform(0, 2)), tall, 8 + 9 * k), (2.5, tall, wide), colours, 1.0)
            )
    for k in range(8):
        side = 1 if k % 2 else -1
        bodies.append(Body(4, _still(side * 5.4, 2.6, 10 + 8 * k), (1.3,), (GREEN, (64, 86, 52)), 4.0))
        bodies.append(Body(4, _still(side * 5.4, 0.8, 10 + 8 * k), (0.18, 0.8, 0.18), (BROWN, (96, 74, 58)), 3.0))
    for k, (lane, speed, colours) in enumerate(
        [
            (-1.6, 14, (BRICK, DARK)),
            (1.6, -22, (WHITE, GREY)),
            (1.6, -18, ((60, 80, 120), DARK)),
            (-1.6, 8, (DARK, GREY)),
        ]
    ):
        start = (10, 52, 80, 30)[k]
        bodies.append(Body(5, lambda t, x=lane, z=start, v=speed: (x, 0.75, z + v * t), (0.85, 0.5, 1.8), colours, 1.2))
        bodies.append(
            Body(5, lambda t, x=lane, z=start, v=speed: (x, 1.45, z + v * t), (0.75, 0.35, 0.9), (DARK, GREY), 1.2)
        )
    for k in range(5):
        at, way = 9 + 9 * k, (-1) ** k
        body = ((120, 60, 64), (70, 84, 120), (150, 130, 90), (80, 110, 80), (128, 126, 122))[k]
        walk = lambda t, z=at, s=way, k=k: (s * (4.2 - 8.4 * ((t * 1.3 + 0.21 * k) % 1)), 0.75, z)  # noqa: E731
        head = lambda t, f=walk: (f(t)[0], 1.75, f(t)[2])  # noqa: E731
        bodies += [
            Body(6, walk, (0.32, 0.75, 0.25), (body, DARK), 2.0),
            Body(6, head, (0.28,), ((196, 160, 136), (180, 140, 120)), 1.0),
        ]
    return LabelledScene(
        "street",
        {
            "sky": "#4682b4",
            "road": "#804080",
            "grass": "#98fb98",
            "building": "#464646",
            "tree": "#6b8e23",
            "car": "#00008e",
            "person": "#dc143c",
        },
        tuple(bodies),
        lambda t: (
            np.array([0.6 * np.sin(5 * t), 1.9, -2 + 26 * t]),
            np.array([0.5 * np.sin(4 * t + 1), 1.5, 12 + 26 * t]),
            62.0,
        ),
        lambda x, z: np.where(np.abs(x) < 3.4, 1, 2),
        (GREY, GREEN),
    )


def _table() -> LabelledScene:
    rng = np.random.default_rng(3)
    tones = [(BRICK, WHITE), (GREY, DARK), (GREEN, WHITE), (BROWN, GREY), ((70, 84, 120), WHITE), (DARK, BROWN)]
    bodies = []
    for k in range(6):
        x, z = 3 * np.cos(k * 1.05 + 0.3), 3 * np.sin(k * 1.05 + 0.3)
        half = tuple(rng.uniform(0.35, 0.8, 3))
        bodies.append(Body(3, _still(x, half[1], z), half, tones[k], 2.0))
    for k in range(5):
        radius = float(rng.uniform(0.35, 0.6))
        roll = lambda t, k=k, r=radius: (  # noqa: E731
            2 * np.cos(6.28 * (t * (0.8 + 0.2 * k) + 0.2 * k)),
            r,
            (1 + 0.3 * k) * np.sin(6.28 * (t * (0.8 + 0.2 * k) + 0.2 * k)),
        )
        bodies.append(Body(4, roll, (radius,), tones[(k + 2) % 6], 3.0))
    for k in range(3):
        x, z = 1.2 * np.cos(2.1 * k), 1.2 * np.sin(2.1 * k)
        bodies.append(Body(5, _still(x, 1.1, z), (0.12, 1.1, 0.12), (WHITE, BRICK), 6.0))
    return LabelledScene(
        "table",
        {
            "wall": "#c8c8c8",
            "table": "#a05030",
            "cloth": "#3060c0",
            "block": "#e0c020",
            "ball": "#d02060",
            "stick": "#20a060",
        },
        tuple(bodies),
        lambda t: (
            np.array([7 * np.cos(1.6 * t + 0.4), 2.6 + 0.5 * np.sin(4 * t), 7 * np.sin(1.6 * t + 0.4)]),
            np.array([0.0, 0.6, 0.0]),
            48.0,
        ),
        lambda x, z: np.where(np.hypot(x, z) < 2.6, 2, 1),
        (BROWN, (104, 110, 128)),
    )


SCENES = {scene.name: scene for scene in (_street(), _table())}

if __name__ == "__main__":
    for made in SCENES.values():
        print(made.write(Path(sys.argv[1])))
