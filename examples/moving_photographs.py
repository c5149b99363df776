"""Pairs of frames of moving photographs, whose flow is known, for ``style_tuning.py``. All are made up from seeds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import skimage

from vidtrans.core.files import PHOTOGRAPHS
from vidtrans.video.images.picture import read_picture

SIDE, LINES = 176, 288  # pixels of a scene, and lines of the picture that it is cut from
MORE = (
    "brick",
    "grass",
    "gravel",
    "motorcycle_left",
    "coins",
    "hubble_deep_field",
    "retina",
    "moon",
)  # of scikit-image
Array = np.ndarray


class Scenes:
    """Pairs of frames of moving photographs, with their flow. Pictures are (SIDE, SIDE, 3) float32 in [0, 1]."""

    def __init__(self) -> None:
        found = [*PHOTOGRAPHS.glob("*.jpg"), *Path(__file__).parent.glob("looks/*.jpg")]
        found += [next((Path(skimage.__file__).parent / "data").glob(f"{name}.*")) for name in MORE]
        self.photographs = [read_picture(path).astype(np.float32) / 255 for path in sorted(found, key=lambda p: p.stem)]
        rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
        self.middle = (SIDE - 1) / 2
        self.grid = np.stack([columns, rows], axis=-1) - self.middle

    def draw(self, rng: np.random.Generator, flat: float = 0) -> tuple[Array, Array, Array, Array, Array]:
        """Return a frame, the next one, the flow from it back to the first, where that holds, and the frame's original.

        The flow is (SIDE, SIDE, 2), the mask 0 or 1. The original has no noise. ``flat``: the share of scenes of low
        contrast, in whose noise no strokes are to be seen.
        """
        photograph, moved = self._photograph(rng), self._moved(self._motion(rng))
        view = self._view(photograph, rng)
        first, second = self._seen(photograph, view, self.grid), self._seen(photograph, view, moved)
        flow, holds = moved - self.grid, np.ones((SIDE, SIDE), np.float32)
        if rng.random() < 0.5:
            first, second, flow, holds = self._with_something_before(first, second, flow, rng)
        at = self.grid + flow + self.middle
        holds = holds * ((at > 1) & (at < SIDE - 2)).all(-1)
        gamma, lift = np.exp(rng.normal(0, 0.15)), rng.normal(0, 0.03)
        first, second = (np.clip(np.clip(each, 0, 1) ** gamma + lift, 0, 1) for each in (first, second))
        if flat and rng.random() < flat:
            contrast, grey = rng.uniform(0.15, 0.6), rng.uniform(0.1, 0.9)
            first, second = (np.clip(grey + contrast * (each - each.mean()), 0, 1) for each in (first, second))
        if rng.random() < 0.3:
            second = second * (1 + rng.normal(0, 0.01))
        spoilt = (_spoilt(frame, rng) for frame in (first, second))
        return *spoilt, flow.astype(np.float32), holds.astype(np.float32), first.astype(np.float32)

    def _photograph(self, rng: np.random.Generator) -> Array:
        return self.photographs[rng.integers(len(self.photographs))]

    def _view(self, photograph: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw a place, a scale and an angle: the matrix and the offset from the scene's to the photograph's pixels."""
        size = np.array(photograph.shape[1::-1])
        scale = min(size) / LINES * np.exp(rng.uniform(np.log(0.6), np.log(1.5)))
        scale = min(scale, (min(size) - 4) / SIDE / 1.05)
        angle, sign = rng.normal(0, 0.1), rng.choice([-1, 1])
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        inside = np.minimum(SIDE / 2 * scale, size / 2)
        return np.array([[cosine * sign, -sine], [sine * sign, cosine]]), rng.uniform(inside, size - inside + 1e-6)

    def _motion(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw a motion of one frame; one in five stands still."""
        speed = 0.0 if rng.random() < 0.2 else rng.exponential(3)
        angle, scale = rng.normal(0, 0.004) * (speed > 0), np.exp(rng.normal(0, 0.006) * (speed > 0))
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        return np.array([[cosine, -sine], [sine, cosine]]), rng.normal(size=2) * speed / 1.4

    def _moved(self, move: tuple[Array, Array]) -> Array:
        return np.asarray(self.grid @ move[0].T + move[1], np.float32)

    def _seen(self, photograph: Array, view: tuple[Array, Array], grid: Array) -> Array:
        matrix, offset = view
        at = grid @ matrix.T + offset
        scale = float(abs(np.linalg.det(matrix)) ** 0.5)
        if scale > 1.3:
            shrunk = 1.15 / scale
            photograph = np.asarray(cv2.resize(photograph, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA))
            at = at * shrunk
        return _remapped(photograph, at, cv2.INTER_CUBIC, cv2.BORDER_REFLECT_101)

    def _with_something_before(
        self, first: Array, second: Array, flow: Array, rng: np.random.Generator
    ) -> tuple[Array, Array, Array, Array]:
        """Add a blot of another photograph, which moves by itself."""
        photograph = self._photograph(rng)
        view, moved = self._view(photograph, rng), self._moved(self._motion(rng))
        around = 40
        noise = rng.normal(size=(SIDE + 2 * around,) * 2).astype(np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(14, 40)))
        blot = cv2.GaussianBlur((smooth > np.quantile(smooth, 0.7)).astype(np.float32), (0, 0), 1)
        shares = [_remapped(blot, grid + self.middle + around) for grid in (self.grid, moved)]
        pictures = [self._seen(photograph, view, grid) for grid in (self.grid, moved)]
        first, second = (
            frame * (1 - share[..., None]) + picture * share[..., None]
            for frame, share, picture in zip((first, second), shares, pictures, strict=True)
        )
        flow = np.where(shares[1][..., None] > 0.5, moved - self.grid, flow).astype(np.float32)
        before = _remapped(shares[0], self.grid + flow + self.middle)
        holds = cv2.erode((np.abs(before - shares[1]) < 0.1).astype(np.float32), np.ones((5, 5)))
        return first, second, flow, holds


def _remapped(picture: Array, at: Array, way: int = cv2.INTER_LINEAR, border: int = cv2.BORDER_CONSTANT) -> Array:
    """A picture whose pixels are taken from ``at`` (x, y)."""
    x, y = (np.ascontiguousarray(at[..., n], np.float32) for n in range(2))
    return np.asarray(cv2.remap(picture, x, y, way, borderMode=border))


def _spoilt(picture: Array, rng: np.random.Generator) -> Array:
    """Add noise, and the traces of compression."""
    if rng.random() < 0.8:
        picture = picture + rng.normal(size=picture.shape) * rng.uniform(0, 0.025)
    picture = np.clip(picture, 0, 1)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 95))]
        file = cv2.imencode(".jpg", np.rint(picture * 255).astype(np.uint8), quality)[1]
        picture = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR)) / 255
    return picture.astype(np.float32)
