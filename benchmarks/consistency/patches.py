"""An opponent: blending of patches in the manner of FastBlend (Duan et al., "FastBlend: a Powerful Model-Free Toolkit
Making Video Stylization Easier", 2023), written from its description; not the authors' program, nor a port of it.

For a frame t and each frame s of a window around it a nearest-neighbour field says, for every patch of the input at
t, which patch at s is most like it; the result of s is laid onto t along the field, each pixel the mean of the
patches over it; and the output is the mean over the window, t itself among it as it is. The field is found by
PatchMatch (Barnes et al., SIGGRAPH 2009) from coarse to fine, all pixels at once: a pixel tries what its neighbours
found, and random places around its own. What is minimised is a loss with aligned styles,

    ``GUIDE_WEIGHT`` ‖guide patch at t − guide patch at s‖² + ‖mean result laid onto t − result at s‖²  (each a patch),

where the mean is over the window, of all that is laid onto t so far, and is made anew before each iteration.

Beside the description: numpy on one core, and so fewer iterations and a window of ±8 frames, where theirs may span a
whole clip, by tables that remap from remapped frames; one size of patch for all iterations; each level starts from the
coarser one's field, and the coarsest from no motion and a search over all of it; no tracking of objects between the
fields of neighbouring frames; borders are repeated. A larger ``GUIDE_WEIGHT`` follows the guide more closely, with less
warping error and, on style networks, less fidelity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

GUIDE_WEIGHT = 10.0
SMALLEST = 32  # pixels, of the coarsest level's short side, at least half of it
BLOCK = 4096  # patches that are compared at a time: they stay in the processor's cache


@dataclass(frozen=True)
class Search:
    """Iterations at a level of the pyramid. ``strides``: one iteration each, and from how far away neighbours' finds
    are tried in it; ``radii``: of the random places that it tries after that, in pixels of the level.
    """

    strides: tuple[int, ...]
    radii: tuple[int, ...]


FINEST = Search((2, 1), (1,))
FINE = Search((2, 1), (2, 1))
COARSE = Search((4, 2, 1), (4, 2, 1))
COARSEST = Search((8, 4, 2, 1), (16, 8, 4, 2, 1))


def patch_blend(
    guides: Sequence[np.ndarray],
    processed: Sequence[np.ndarray],
    radius: int = 8,
    patch: int = 5,
    guide_weight: float = GUIDE_WEIGHT,
    seed: int = 0,
) -> list[np.ndarray]:
    """The per-frame results ``processed`` of ``guides`` blended; (H, W, 3) uint8 each, of one shot.

    ``radius``: frames taken from each side; ``patch``: its side in pixels, odd. The same for the same ``seed``.
    """
    held: dict[int, list[Level]] = {}
    made = []
    for t in range(len(guides)):
        window = range(max(0, t - radius), min(len(guides), t + radius + 1))
        held = {s: held[s] if s in held else pyramid(guides[s], processed[s], patch) for s in window}
        others = [held[s] for s in window if s != t]
        # Its own for each frame, so that a frame depends on nothing outside its window.
        rng = np.random.default_rng((seed, t))
        made.append(blended_frame(held[t], others, patch, guide_weight, rng))
    return made


@dataclass(frozen=True)
class Level:
    """A frame at one size: its result (H, W, 3) uint8, and its patches, (H·W, 2·3·patch²) uint8: guide, then result."""

    result: np.ndarray
    patches: np.ndarray


def pyramid(guide: np.ndarray, result: np.ndarray, patch: int) -> list[Level]:
    """From fine to coarse, each half as large as the one before."""
    levels = [Level(result, np.hstack([patches_of(guide, patch), patches_of(result, patch)]))]
    while min(guide.shape[:2]) > SMALLEST:
        size = (-(-guide.shape[1] // 2), -(-guide.shape[0] // 2))
        guide, result = (cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in (guide, result))
        levels.append(Level(result, np.hstack([patches_of(guide, patch), patches_of(result, patch)])))
    return levels


def patches_of(picture: np.ndarray, patch: int) -> np.ndarray:
    """(H, W, 3) uint8 → (H·W, 3·patch²): what lies around each pixel."""
    reach = patch // 2
    padded = cv2.copyMakeBorder(picture, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    views = np.lib.stride_tricks.sliding_window_view(padded, (patch, patch), axis=(0, 1))
    return views.reshape(picture.shape[0] * picture.shape[1], -1)


def blended_frame(
    target: list[Level], others: Sequence[list[Level]], patch: int, guide_weight: float, rng: np.random.Generator
) -> np.ndarray:
    """The mean of a frame and the others laid onto it: (H, W, 3) uint8."""
    fields: list[np.ndarray] = []
    laid: list[np.ndarray] = []
    for at in range(len(target) - 1, -1, -1):
        level, sources = target[at], [other[at] for other in others]
        height, width = level.result.shape[:2]
        search = FINEST if at == 0 else COARSEST if at == len(target) - 1 else FINE if at == 1 else COARSE
        if fields:
            fields = [_inside(2 * f.repeat(2, 0).repeat(2, 1)[:height, :width]) for f in fields]
        else:
            fields = [np.zeros((height, width, 2), np.int32) for _ in sources]
        laid = [remapped(s.result, f, patch) for s, f in zip(sources, fields, strict=True)]
        for stride in search.strides:
            wanted = level.patches.copy()
            wanted[:, wanted.shape[1] // 2 :] = patches_of(_mean(level.result, laid), patch)
            for i, source in enumerate(sources):
                match = Match(wanted, source.patches, fields[i], guide_weight)
                match.improve(stride, search.radii, rng)
                fields[i] = match.field
                laid[i] = remapped(source.result, match.field, patch)
    return _mean(target[0].result, laid)


def _mean(own: np.ndarray, laid: Sequence[np.ndarray]) -> np.ndarray:
    total = own.astype(np.float32)
    for picture in laid:
        total += picture
    return np.rint(total / (len(laid) + 1)).astype(np.uint8)


def _inside(field: np.ndarray) -> np.ndarray:
    """The displacements (H, W, 2) int32, x and y, shortened where they lead out of the picture."""
    height, width = field.shape[:2]
    xs, ys = np.arange(width, dtype=np.int32), np.arange(height, dtype=np.int32)[:, None]
    x = np.clip(field[..., 0], -xs, width - 1 - xs)
    y = np.clip(field[..., 1], -ys, height - 1 - ys)
    return np.stack([x, y], axis=-1)


class Match:
    """A nearest-neighbour field under way: ``field`` (H, W, 2) int32, x and y in pixels, and its loss at each pixel."""

    def __init__(self, wanted: np.ndarray, offered: np.ndarray, field: np.ndarray, guide_weight: float) -> None:
        self.field = field
        self._wanted, self._offered, self._guide_weight = wanted, offered, guide_weight
        height, width = field.shape[:2]
        self._at = np.arange(height * width, dtype=np.int64).reshape(height, width)
        self._loss = self._loss_of(field)

    def improve(self, stride: int, radii: tuple[int, ...], rng: np.random.Generator) -> None:
        """One iteration: neighbours' finds, then random places."""
        height, width = self.field.shape[:2]
        for x, y in ((stride, 0), (-stride, 0), (0, stride), (0, -stride)):
            columns = np.clip(np.arange(width) + x, 0, width - 1)
            rows = np.clip(np.arange(height) + y, 0, height - 1)
            self._try(self.field[rows][:, columns])
        for radius in radii:
            self._try(self.field + rng.integers(-radius, radius + 1, self.field.shape, dtype=np.int32))

    def _try(self, field: np.ndarray) -> None:
        field = _inside(field)
        loss = self._loss_of(field)
        better = loss < self._loss
        self.field = np.where(better[..., None], field, self.field)
        self._loss = np.where(better, loss, self._loss)

    def _loss_of(self, field: np.ndarray) -> np.ndarray:
        """(H, W) float32: the weighted squared distance of each pixel's patch to that at its displacement."""
        index = (self._at + field[..., 1] * field.shape[1] + field[..., 0]).ravel()
        loss = np.empty(len(index), np.float32)
        half = self._wanted.shape[1] // 2
        for start in range(0, len(index), BLOCK):
            block = slice(start, start + BLOCK)
            difference = cv2.absdiff(self._offered[index[block]], self._wanted[block]).astype(np.float32)
            guide, result = difference[:, :half], difference[:, half:]
            loss[block] = np.einsum("ij,ij->i", guide, guide) * self._guide_weight
            loss[block] += np.einsum("ij,ij->i", result, result)
        return loss.reshape(field.shape[:2])


def remapped(picture: np.ndarray, field: np.ndarray, patch: int) -> np.ndarray:
    """``picture`` (H, W, 3) uint8 laid along ``field``: each pixel the mean of all patches over it; float32."""
    reach = patch // 2
    height, width = field.shape[:2]
    places = np.empty((height, width, 2), np.float32)
    padded = cv2.copyMakeBorder(field.astype(np.float32), reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    ys, xs = np.mgrid[0:height, 0:width]
    total = np.zeros((height, width, 3), np.float32)
    for y in range(patch):
        for x in range(patch):
            np.add(padded[y : y + height, x : x + width, 0], xs, out=places[..., 0])
            np.add(padded[y : y + height, x : x + width, 1], ys, out=places[..., 1])
            total += cv2.remap(picture, places, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return total / patch**2
