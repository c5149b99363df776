"""Clips whose painting is known in every frame, of which a method is given two.

``object-…``: a person who was cut out of a photograph moves over a clip, and is painted in other colours than what lies
behind, with outlines: what to paint does not follow from colour. ``landscape-…`` and others: looks of pictures, frame
by frame. ``grade-…``: a smooth change of colours. ``lynx``: painted by hand, the truth of two frames alone is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.clips import read_frames, render_frames
from benchmarks.harness import need
from benchmarks.picture_looks import model_named
from benchmarks.store import Store, digest
from vidtrans.core.settings import Size
from vidtrans.video.images.picture import read_picture, resize

COUNT, SIDE = 100, 270  # frames, and the short side of the pictures


@dataclass(frozen=True)
class Case:
    """Frames (H, W, 3) uint8, which of them were painted, and the painting of each; None where that is not known."""

    name: str
    frames: list[np.ndarray]
    keys: tuple[int, ...]
    paintings: list[np.ndarray | None]

    @property
    def painted(self) -> list[np.ndarray]:
        """The key frames' paintings."""
        found = [self.paintings[key] for key in self.keys]
        return [painting for painting in found if painting is not None]

    @property
    def unseen(self) -> list[int]:
        """The frames that a method is scored on."""
        return [n for n, painting in enumerate(self.paintings) if painting is not None and n not in self.keys]


def clip_frames(path: Path, first: int, count: int = COUNT) -> list[np.ndarray]:
    """Frames at the size of the bench. Raises Missing."""
    found = read_frames(path, first, count)
    width, height = Size(short=SIDE).of(found[0].shape[1], found[0].shape[0])
    return [resize(frame, width, height) for frame in found]


# Known paintings


def posterised(rgb: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """A picture in flat tones between the colours of a palette (N, 3), by its brightness, with soft steps."""
    grey = cv2.bilateralFilter(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), 7, 40, 5).astype(np.float32) / 255
    at = grey * (len(palette) - 1)
    step = np.floor(at)
    soft = step + 1 / (1 + np.exp(-12 * (at - step - 0.5)))
    low = np.clip(soft.astype(int), 0, len(palette) - 2)
    share = (soft - low)[..., None]
    mixed: np.ndarray = palette[low] * (1 - share) + palette[low + 1] * share
    return mixed


def outlines(rgb: np.ndarray) -> np.ndarray:
    """How dark lines are, (H, W) from 0 to 1: differences of Gaussians with a soft threshold (Winnemöller, 2011)."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    response = cv2.GaussianBlur(grey, (0, 0), 1.0) - 0.98 * cv2.GaussianBlur(grey, (0, 0), 1.6)
    lines: np.ndarray = np.clip(-60 * (response - 0.005), 0, 1)
    return lines


COLD = np.array([[18, 22, 60], [30, 70, 120], [90, 150, 180], [215, 235, 225]], np.float32)
WARM = np.array([[70, 10, 30], [200, 60, 40], [245, 160, 60], [255, 240, 190]], np.float32)


def painted_by_object(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A painting of a frame whose person, (H, W) from 0 to 1, is warm and all else cold; lines lie over both."""
    share = mask[..., None]
    flat = posterised(frame, COLD) * (1 - share) + posterised(frame, WARM) * share
    edge = cv2.GaussianBlur(mask, (0, 0), 1.2)
    lines = np.maximum(outlines(frame), np.clip(4 * edge * (1 - edge), 0, 1))[..., None]
    return np.clip(np.rint(flat * (1 - lines) + np.array([25, 15, 20]) * lines), 0, 255).astype(np.uint8)


def cut_out(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A person on white, (H, W, 3) uint8, and where they are, (H, W) float32. Raises Missing."""
    rgb = read_picture(need(path))
    rgb = np.ascontiguousarray(rgb[:, : rgb.shape[1] // 2])
    white = (rgb.min(2) > 244).astype(np.uint8)
    _, labels = cv2.connectedComponents(white)
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    outside = np.isin(labels, edge[edge > 0])
    inside = cv2.morphologyEx((~outside).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return rgb, cv2.GaussianBlur(cv2.erode(inside, np.ones((3, 3), np.uint8)).astype(np.float32), (0, 0), 0.8)


def walking(person: np.ndarray, mask: np.ndarray, frames: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames with a person who sways, turns and bends across them, and where that is."""
    height, width = frames[0].shape[:2]
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    scale = 0.85 * height / person.shape[0]
    made = []
    for number, frame in enumerate(frames):
        t = number / len(frames)
        angle, size = np.deg2rad(7) * np.sin(9 * t), scale * (1 + 0.12 * np.sin(5 * t + 1))
        centre_x, centre_y = width * (0.32 + 0.34 * t + 0.03 * np.sin(14 * t)), height * (0.55 + 0.02 * np.sin(21 * t))
        dx, dy = (xs - centre_x) / size, (ys - centre_y) / size
        bend = 6 * np.sin(dy / 35 + 11 * t)
        x = np.cos(angle) * dx + np.sin(angle) * dy + bend + person.shape[1] / 2
        y = -np.sin(angle) * dx + np.cos(angle) * dy + person.shape[0] / 2
        x, y = x.astype(np.float32), y.astype(np.float32)
        shown = cv2.remap(person, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        share = cv2.remap(mask, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[..., None]
        made.append((np.rint(shown * share + frame * (1 - share)).astype(np.uint8), share[..., 0]))
    return made


def object_case(name: str, data: Path, clip: str, first: int, person: int) -> Case:
    figure, mask = cut_out(data / "pairs" / "person_outline" / f"{person}.jpg")
    both = walking(figure, mask, clip_frames(data / clip, first))
    frames = [frame for frame, _ in both]
    return Case(name, frames, keys_of(len(frames)), [painted_by_object(*pair) for pair in both])


def look_case(name: str, data: Path, clip: str, first: int, look: str, store: Store) -> Case:
    """Frames that the look of a picture renders one by one."""
    frames = clip_frames(data / clip, first)
    key = digest(look, *frames)
    cache = store.folder / "vidtrans"
    render = partial(render_frames, frames, model_named(look, cache), store.folder / f"{name}-{key}", cache)
    return Case(name, frames, keys_of(len(frames)), list(store.pictures(name, key, render)))


def graded(rgb: np.ndarray) -> np.ndarray:
    """A cross-processed picture: a curve for each channel, and less colour in the shadows."""
    x = rgb.astype(np.float32) / 255
    curves = (x**0.8, x * x * (3 - 2 * x), 0.12 + 0.75 * x)
    toned = np.stack([curve[..., i] for i, curve in enumerate(curves)], -1)
    grey = toned.mean(-1, keepdims=True)
    return np.clip(np.rint(255 * (grey + (0.5 + 0.5 * grey) * (toned - grey))), 0, 255).astype(np.uint8)


def grade_case(name: str, data: Path, clip: str, first: int) -> Case:
    frames = clip_frames(data / clip, first)
    return Case(name, frames, keys_of(len(frames)), [graded(frame) for frame in frames])


def lynx_case(name: str, data: Path) -> Case:
    frames = clip_frames(data / "seq" / "lynx" / "input", 0)
    height, width = frames[0].shape[:2]
    paintings: list[np.ndarray | None] = [None] * len(frames)
    for key in (0, 99):
        path = need(data / "seq" / "lynx" / "keyframes" / f"style{key:03d}.jpg")
        paintings[key] = resize(read_picture(path), width, height)
    return Case(name, frames, (0, 99), paintings)


def keys_of(count: int) -> tuple[int, int]:
    """The two frames that are painted: a quarter from either end."""
    return count // 4, count - 1 - count // 4


Plan = dict[str, Callable[[], Case]]
# Clip and first frame of each case, and the number of the person who is cut out; constants are chosen on the former.
CHOOSING = {
    "object-friday": ("video/friday.mp4", 60, 12),
    "object-walk": ("video/asl_walk.mkv", 0, 30),
    "landscape-juggle": ("video/juggle.mp4", 100),
    "coffee-flower": ("video/flower.mp4", 30),
    "grade-walk": ("video/asl_walk.mkv", 0),
}
SCORED = {
    "object-dog": ("video/dog.mp4", 110, 5),
    "object-bbb": ("video/bbb_0_30.webm", 130, 41),
    "coffee-dog": ("video/dog.mp4", 110),
    "landscape-bbb": ("video/bbb_0_30.webm", 130),
    "chelsea-carphone": ("video/carphone_176x144.mp4", 20),
    "grade-bug": ("video/bug_bw.mp4", 15),
    "grade-dog": ("video/dog.mp4", 0),
}


def plan(data: Path, store: Store, *, tuning: bool = False) -> Plan:
    """Return cases by name, to be made when called, which raises Missing: those to score, or to choose constants on."""
    cases: Plan = {}
    for name, (clip, first, *person) in (CHOOSING if tuning else SCORED).items():
        kind = name.partition("-")[0]
        if kind == "object":
            cases[name] = partial(object_case, name, data, clip, first, *person)
        elif kind == "grade":
            cases[name] = partial(grade_case, name, data, clip, first)
        else:
            cases[name] = partial(look_case, name, data, clip, first, kind, store)
    if not tuning:
        cases["lynx"] = partial(lynx_case, "lynx", data)
    return cases
