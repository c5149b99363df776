"""Shots whose flicker is known, and how much of it is left: shared by the tests of the temporal filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
from clips import scene

from vidtrans.temporal.causal import CausalFilter
from vidtrans.temporal.settings import CausalSettings, WindowSettings
from vidtrans.temporal.stream import Filter, HeldFrames, Sample, filter_samples
from vidtrans.temporal.window import WindowFilter

Frames = list[np.ndarray]
Make = Callable[..., Filter]
WIDTHS = (1, 3, 7, 15, 31)  # radii that there are


def window(**settings: float) -> WindowFilter:
    return WindowFilter(WindowSettings(**settings))  # type: ignore[arg-type]


def causal(**settings: float) -> CausalFilter:
    return CausalFilter(CausalSettings(**settings))  # type: ignore[arg-type]


def samples(guides: Frames, outputs: Frames | None = None, cuts: Iterable[int] = (0,)) -> list[Sample]:
    """Fresh ones: nothing was derived from them yet."""
    shown = guides if outputs is None else outputs
    return [Sample(i, i * 512, g, o, i in cuts) for i, (g, o) in enumerate(zip(guides, shown, strict=True))]


def run(method: Filter, given: Iterable[Sample], wanted: range | None = None, held: HeldFrames | None = None) -> Frames:
    return [picture for _, picture in filter_samples(given, method, wanted, held)]


def textured(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A scene with a grain that codecs would lose, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed + 100)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 0.9)
    made = scene(width, height, seed).astype(np.float32) * 0.6 + 50 + 20 * grain[..., None] / grain.std()
    return np.clip(made, 0, 255).astype(np.uint8)


def drifting(count: int, step: int = 1, seed: int = 0, size: tuple[int, int] = (64, 48), grain: bool = False) -> Frames:
    """A picture that moves by ``step`` pixels a frame to the left."""
    width, height = size
    big = (textured if grain else scene)(width + step * count, height, seed)
    return [np.ascontiguousarray(big[:, i * step : i * step + width]) for i in range(count)]


def look(frame: np.ndarray) -> np.ndarray:
    """What a colourist does, and no network: a tone curve, and colours exchanged. It cannot flicker."""
    toned = 0.15 + 0.8 * (frame[..., ::-1].astype(np.float32) / 255) ** 1.4
    return np.rint(np.clip(toned, 0, 1) * 255).astype(np.uint8)


def added(frames: Frames, noise: Sequence[np.ndarray | float]) -> Frames:
    return [np.clip(np.rint(f + n), 0, 255).astype(np.uint8) for f, n in zip(frames, noise, strict=True)]


def flickering(frames: Frames, levels: int = 20, seed: int = 1) -> Frames:
    """Each frame brighter or darker as a whole, at random."""
    rng = np.random.default_rng(seed)
    return added(frames, [float(rng.integers(-levels, levels + 1)) for _ in frames])


def grainy(frames: Frames, levels: float = 12, seed: int = 5) -> tuple[Frames, list[np.ndarray]]:
    """Each frame with a grain of its own, as a network's texture boils; and that grain."""
    rng = np.random.default_rng(seed)
    noise = [rng.normal(0, levels, (*f.shape[:2], 1)) for f in frames]
    return added(frames, noise), noise


def rms(a: Frames, b: Frames, where: Sequence[np.ndarray] | None = None) -> float:
    """Root mean square of the difference, in grey levels, where the masks are."""
    masks = where or [np.ones(f.shape[:2], bool) for f in a]
    found = np.concatenate([((x.astype(float) - y) ** 2)[m].ravel() for x, y, m in zip(a, b, masks, strict=True)])
    return float(np.sqrt(found.mean()))


def unsteadiness(frames: Frames, wanted: Frames) -> float:
    """How far the brightness of the inner part strays over the clip, in grey levels."""
    inner = [(f.astype(float) - w)[8:-8, 8:-8].mean() for f, w in zip(frames, wanted, strict=True)]
    return float(np.std(inner))


def sharpness(frames: Frames) -> float:
    grey = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames]
    return float(np.mean([np.abs(cv2.Laplacian(g, cv2.CV_32F)).mean() for g in grey]))


def alike(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> bool:
    """Bit by bit."""
    return len(a) == len(b) and all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def busy(count: int, size: tuple[int, int] = (32, 24), seed: int = 0) -> tuple[Frames, Frames]:
    """A guide and a look in which everything happens that a filter looks at: motion, something that passes, flicker."""
    guides = drifting(count, 1, seed, size, grain=True)
    for i, frame in enumerate(guides):
        cv2.circle(frame, (int(size[0] * ((0.1 + 0.07 * i) % 1)), size[1] // 2), size[1] // 5, (230, 60, 40), -1)
    outputs, _ = grainy(flickering([look(g) for g in guides], seed=seed + 1), 8, seed + 2)
    return guides, outputs
