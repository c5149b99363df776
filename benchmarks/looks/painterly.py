"""Measures of a painted frame beside its painting and its source, at one size. Pictures are (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from vidtrans.metrics.picture_quality import Brushwork
from vidtrans.perception.measure import crop_to_middle, with_short_side

WIDTH, HEIGHT = 480, 270  # at which all are compared
DIRECTIONS, QUANTILES = 64, 200  # of the sliced Wasserstein distance of colours
EDGE_SIGMA = 2.0  # pixels: strokes within are finer than the structure that is compared
LINE, REACH = 48, 14  # pixels: the least length of a straight edge, and how far beside it colours are read
PLATEAU, NEAR = 5, 8  # pixels: of the outer ends of a profile, and of the reach of a fringe from the edge
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def fit(picture: np.ndarray) -> np.ndarray:
    """Return a picture's middle at ``WIDTH`` × ``HEIGHT``."""
    scale = max(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    x, y = (scaled.shape[1] - WIDTH) // 2, (scaled.shape[0] - HEIGHT) // 2
    return np.ascontiguousarray(scaled[y : y + HEIGHT, x : x + WIDTH])


def texture(picture: np.ndarray) -> float:
    """Return the strength of fine lines: the mean absolute Laplacian of lightness, in levels."""
    return float(np.abs(cv2.Laplacian(picture @ LUMA, cv2.CV_32F)).mean())


def colour_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the squared sliced Wasserstein distance of the colours of two pictures, in levels²."""
    directions = np.random.default_rng(0).standard_normal((3, DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    shares = np.linspace(0, 1, QUANTILES)
    a, b = (np.quantile(p.reshape(-1, 3) @ directions, shares, axis=0) for p in (first, second))
    return float(np.square(a - b).mean())


def structure(frame: np.ndarray, painted: np.ndarray) -> float:
    """Return the correlation of the gradient magnitudes of two pictures' lightness, after a blur."""
    found = []
    for picture in (frame, painted):
        light = cv2.GaussianBlur(picture @ LUMA, (0, 0), EDGE_SIGMA)
        found.append(np.hypot(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)).ravel())
    return float(np.corrcoef(*found)[0, 1])


def fringes(frame: np.ndarray, painted: np.ndarray) -> list[float]:
    """Return how far colours beside each straight edge of ``frame`` leave those of its two sides, in levels.

    The chroma of ``painted`` is averaged along the edge, so that single strokes, which cross it anywhere, count little.
    """
    lines = cv2.createLineSegmentDetector().detect(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))[0]
    chroma = cv2.cvtColor(painted, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(np.float32)
    return [] if lines is None else [_overshoot(profile) for profile in _profiles(chroma, lines.reshape(-1, 4))]


def chance(painted: np.ndarray, count: int, seed: int = 0) -> list[float]:
    """Return the same along ``count`` lines anywhere: what strokes alone give."""
    rng = np.random.default_rng(seed)
    start, angle = rng.uniform(0, (WIDTH, HEIGHT), (count, 2)), rng.uniform(0, 2 * np.pi, (count, 1))
    ends = start + 1.5 * LINE * np.hstack([np.cos(angle), np.sin(angle)])
    chroma = cv2.cvtColor(painted, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(np.float32)
    return [_overshoot(profile) for profile in _profiles(chroma, np.hstack([start, ends]))]


def _profiles(chroma: np.ndarray, lines: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the chroma across each line that is long enough, averaged along it, (2 · REACH + 1, 2)."""
    across = np.arange(-REACH, REACH + 1)
    for x0, y0, x1, y1 in lines:
        length = float(np.hypot(x1 - x0, y1 - y0))
        if length < LINE:
            continue
        along = np.linspace(0.1, 0.9, int(length))[:, None]
        x = (x0 + along * (x1 - x0) - across * (y1 - y0) / length).astype(np.float32)
        y = (y0 + along * (y1 - y0) + across * (x1 - x0) / length).astype(np.float32)
        if min(x.min(), y.min()) >= 0 and x.max() < WIDTH and y.max() < HEIGHT:
            yield cv2.remap(chroma, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).mean(0)


def _overshoot(profile: np.ndarray) -> float:
    """Return how far the middle of a profile leaves the range between its two ends."""
    ends = np.stack([profile[:PLATEAU].mean(0), profile[-PLATEAU:].mean(0)])
    middle = profile[REACH - NEAR : REACH + NEAR + 1]
    beyond = np.maximum(np.maximum(middle - ends.max(0), ends.min(0) - middle), 0)
    return float(np.linalg.norm(beyond, axis=1).max())


def judge(frames: Sequence[np.ndarray], painted: Sequence[np.ndarray], painting: np.ndarray) -> dict[str, float]:
    """Return the means over frames of a clip.

    ``strokes``: likeness of the brushwork, ``Brushwork.likeness``, to the whole painting's, as high as the frames.
    ``texture`` (fine lines, of any kind) over the painting's; ``source`` is the clip's own. ``colours``: the share of
    the way to the painting's colours that is left. ``structure``: see there. ``fringe``: beside straight edges;
    ``chance``: along any lines.
    """
    style, sources, made = fit(painting), [fit(f) for f in frames], [fit(p) for p in painted]
    brushwork = Brushwork.of(with_short_side(crop_to_middle(painting), HEIGHT))
    pairs = list(zip(sources, made, strict=True))
    beside = [value for pair in pairs for value in fringes(*pair)]
    anywhere = [value for number, picture in enumerate(made) for value in chance(picture, 30, number)]
    return {
        "strokes": float(np.mean([Brushwork.of(p).likeness(brushwork) for p in made])),
        "texture": float(np.mean([texture(p) for p in made])) / texture(style),
        "source": float(np.mean([texture(p) for p in sources])) / texture(style),
        "colours": float(
            np.mean([colour_distance(p, style) for p in made]) / np.mean([colour_distance(p, style) for p in sources])
        ),
        "structure": float(np.mean([structure(*pair) for pair in pairs])),
        "fringe": float(np.mean(beside)) if beside else 0.0,
        "chance": float(np.mean(anywhere)),
    }
