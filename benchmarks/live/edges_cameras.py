"""What cameras do to a clip, in the order in which they do it; code of its own, not that of training.

A camera here takes frames (H, W, 3) uint8 of a clip, in order, and returns as many of the same size. Light is added
up where it is linear, noise is that of electrons behind a Bayer mosaic, compression is a codec's over time.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import av
import cv2
import numpy as np

Frames = list[np.ndarray]
Camera = Callable[[Sequence[np.ndarray]], Frames]
TUNGSTEN, SHADE = np.array([1.5, 1.0, 0.55]), np.array([0.7, 1.0, 1.35])  # gains of red, green and blue
READ_NOISE = 3.0  # electrons


def linear(frame: np.ndarray) -> np.ndarray:
    light: np.ndarray = (frame.astype(np.float32) / 255) ** 2.2
    return light


def levels(light: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def exposed(stops: float) -> Camera:
    return lambda frames: [levels(linear(frame) * 2.0**stops) for frame in frames]


def contrast(gamma: float) -> Camera:
    return lambda frames: [np.rint(255 * (frame / 255) ** gamma).astype(np.uint8) for frame in frames]


def white(gains: np.ndarray) -> Camera:
    return lambda frames: [levels(linear(frame) * gains) for frame in frames]


def noisy(electrons: float) -> Camera:
    """As many electrons in a white pixel, read out with noise through a mosaic of colours."""

    def take(frames: Sequence[np.ndarray]) -> Frames:
        rng = np.random.default_rng(7)
        return [_sensed(frame, electrons, rng) for frame in frames]

    return take


def _sensed(frame: np.ndarray, electrons: float, rng: np.random.Generator) -> np.ndarray:
    counts = rng.poisson(linear(frame) * electrons) + rng.normal(0, READ_NOISE, frame.shape)
    mosaic = counts[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = counts[::2, ::2, 0], counts[1::2, 1::2, 2]
    # Demosaiced among grey levels, for 8 bits of linear light are too few.
    return np.asarray(cv2.cvtColor(levels(mosaic / electrons), cv2.COLOR_BayerRGGB2RGB))


def defocused(share: float) -> Camera:
    """A disc of light for each point; its radius is a share of the short side."""

    def take(frames: Sequence[np.ndarray]) -> Frames:
        radius = share * min(frames[0].shape[:2])
        reach = int(np.ceil(radius))
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
        return [levels(cv2.filter2D(linear(f), -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)) for f in frames]

    return take


def compressed(crf: int) -> Camera:
    """H.264 at a constant rate factor. (From run to run its bytes may differ, and figures by 0.01 dB.)"""

    def take(frames: Sequence[np.ndarray]) -> Frames:
        height, width = (side // 2 * 2 for side in frames[0].shape[:2])
        file = io.BytesIO()
        with av.open(file, "w", format="matroska") as out:
            stream = out.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
                out.mux(stream.encode(picture))
            out.mux(stream.encode())
        file.seek(0)
        with av.open(file, "r") as back:
            decoded = [picture.to_ndarray(format="rgb24") for picture in back.decode(video=0)]
        edges = ((0, frames[0].shape[0] - height), (0, frames[0].shape[1] - width), (0, 0))
        return [np.pad(picture, edges, mode="edge") for picture in decoded]

    return take


def drifting(frames: Sequence[np.ndarray]) -> Frames:
    """Exposure that hunts by a stop over a dozen frames, with a white balance that follows more slowly."""
    times = np.arange(len(frames))
    stops, warmth = -0.5 + 0.5 * np.sin(times / 2), 0.2 * np.sin(times / 5)
    drifts = zip(frames, stops, warmth, strict=True)
    return [levels(linear(frame) * 2.0**stop * np.exp([warm, 0, -warm])) for frame, stop, warm in drifts]


def chained(*cameras: Camera) -> Camera:
    def take(frames: Sequence[np.ndarray]) -> Frames:
        for camera in cameras:
            frames = camera(frames)
        return list(frames)

    return take


CAMERAS: dict[str, Camera] = {
    "undisturbed": list,
    "dark, -2 stops": exposed(-2),
    "bright, +1 stop": exposed(1),
    "gamma 0.6": contrast(0.6),
    "gamma 1.7": contrast(1.7),
    "tungsten light": white(TUNGSTEN),
    "shade": white(SHADE),
    "noise, 1000 electrons": noisy(1000),
    "noise, 250 electrons": noisy(250),
    "noise, 60 electrons": noisy(60),
    "out of focus": defocused(0.015),
    "H.264, crf 36": compressed(36),
    "exposure hunts": chained(drifting, noisy(500)),
    "evening: all of it": chained(defocused(0.008), white(TUNGSTEN), exposed(-1.5), noisy(250), compressed(30)),
}
