"""The generated clip that ``bench`` measures on: detail, camera motion and grain like hand-held footage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat
from vidtrans.video.io.join import Timing, join

RATE = Fraction(25)
OCTAVES = (4, 12, 36, 108)  # noise cells along the short side, one number per octave
FADE = 0.5  # amplitude ratio of successive octaves; with more fine noise a network finds lines everywhere
GRAIN = 2.0  # σ in 8-bit levels
STEP = 1 / 240  # camera motion per frame, as a share of the short side: 3 pixels of 720
ORBIT = 1 / 12  # radius of the camera's circle, as a share of the height; a circle allows clips of any length


def widescreen(short_side: int) -> tuple[int, int]:
    """Return the 16:9 (width, height) for a short side in pixels, both even, as H.264 requires."""
    return 2 * round(short_side * 8 / 9), 2 * (short_side // 2)


def write_clip(path: Path, size: tuple[int, int], frames: int) -> Path:
    """Write an H.264 MP4 of ``frames`` frames at an even (width, height); the pictures are deterministic."""
    segment = path.with_suffix(".nut")
    form = PictureFormat(*size, Fraction(1), 1 / RATE, RATE)
    with closing(SegmentWriter(segment, form, EncodingSettings(codec="h264"))) as writer:
        for number, picture in enumerate(pictures(*size, frames)):
            writer.write(picture, number)
    join([segment], Timing(list(range(frames)), [1] * frames, 1 / RATE), path)
    segment.unlink()
    return path


def pictures(width: int, height: int, frames: int) -> Iterator[np.ndarray]:
    """Yield (height, width, 3) uint8: the camera circles over a texture, and a textured disc moves the other way."""
    rng = np.random.default_rng(0)
    radius = height * ORBIT
    margin = int(radius) + 1
    ground, object_ = (_texture(rng, width + 2 * margin, height + 2 * margin) for _ in range(2))
    grain = rng.normal(0, GRAIN, (height + 64, width + 64, 1)).astype(np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for number in range(frames):
        angle = number * STEP / ORBIT
        across, down = round(radius * np.cos(angle)), round(radius * np.sin(angle))
        left, top = margin + across, margin + down
        picture = ground[top : top + height, left : left + width].copy()
        inside = np.hypot(x - width / 2 - 2 * across, y - height / 2 - 2 * down) < height / 5
        picture[inside] = object_[margin - down :, margin - across :][:height, :width][inside]
        at_y, at_x = rng.integers(0, 64, 2)
        picture += grain[at_y : at_y + height, at_x : at_x + width]
        yield np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _texture(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return smooth noise of several scales, (height, width, 3) float32 from 16 to 240."""
    total = np.zeros((height, width, 3), np.float32)
    for level, patches in enumerate(OCTAVES):
        coarse = rng.random((patches, round(patches * width / height), 3), dtype=np.float32)
        total += FADE**level * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    low, high = total.min(), total.max()
    texture: np.ndarray = 16 + 224 * (total - low) / (high - low)
    return texture
