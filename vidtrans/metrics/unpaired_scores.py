"""Score an unpaired image translation, whose outputs have no reference pictures.

Pictures are (H, W, 3) uint8. ``DomainDistance`` compares the set of outputs with the target domain, in which no picture
has a counterpart. Its distances are between patches, single local features of a network, so that content counts less
than style. The other scores judge single outputs. ``docs/guides/unpaired/scores.md`` explains their limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import grey
from vidtrans.flow.warping import warp
from vidtrans.metrics import SCORING_FLOW
from vidtrans.metrics.consistency import NOTICEABLE, FlowPair, masked_error, mean
from vidtrans.metrics.picture_quality import l1_distance
from vidtrans.perception import DEFAULT, load_measure
from vidtrans.video.images.picture import resize

if TYPE_CHECKING:
    from torch import Tensor

MAX_PICTURES = 32  # Largest number of pictures of a set that are measured
MAX_SIDE_PX = 256  # Side in pixels of the crop measured in larger pictures, because scaling would hide blur
PATCHES = 48  # Number of patches per picture and network layer
CHANNELS = (32, 64, 96)  # Channels of the layers of the random network
# Minimum of a channel's deviation relative to its layer's, and of a layer's domain difference relative to the largest
MIN_SHARE = 0.1
ROWS_PER_BLOCK = 256  # Number of patches whose distances to all others are in memory at once
MIN_DOMAIN_DISTANCE = 0.02  # Least distance that separates domains of about six pictures, in standard deviations
COARSE_SIDE_PX = 32  # Short side at which diversity is measured, in pixels; small, so that noise does not count
AREAS_SIDE_PX = 16  # Short side at which light and dark are compared, in pixels
MAX_COMPARED = 24  # Largest number of pictures that are compared with each other
REVERSED = -0.25  # Lightness correlation below which light and dark are exchanged, which no training loss prevents

Pictures = Sequence[np.ndarray]  # Pictures (H, W, 3) uint8 of any sizes
Patches = list[np.ndarray]  # (pictures, patches, channels) float32 for each layer
Describe = Callable[[Pictures], Patches]  # Function from pictures to their patches' features
FramePair = tuple[np.ndarray, np.ndarray]  # A frame and the next one


def network_patches() -> Describe | None:
    """Return a function from pictures to features of EfficientNet-Lite0; None if its weights are not installed."""
    try:
        measure = load_measure(DEFAULT)
    except UsageError:
        return None
    return lambda pictures: _describe(pictures, measure.features)


def random_patches(seed: int = 0) -> Describe:
    """Return a function from pictures to features of a network with fixed random weights, which needs no files.

    It has three strided convolutions, and returns the features of each.
    """
    import torch
    from torch.nn import functional as F

    random = torch.Generator().manual_seed(seed)
    kernels, channels = [], 3
    for outputs in CHANNELS:
        kernel = torch.randn(outputs, channels, 3, 3, generator=random) / (9 * channels) ** 0.5
        # Three quarters of the kernels have mean 0, because local sums would hide blur and grain.
        kernel[outputs // 4 :] -= kernel[outputs // 4 :].mean((2, 3), keepdim=True)
        kernels.append(kernel)
        channels = outputs

    def features(x: Tensor) -> list[Tensor]:
        """Return the features, (N, C, h, w), of pictures (N, 3, H, W) in [-1, 1] in each layer."""
        found = []
        for kernel in kernels:
            x = F.relu(F.conv2d(x, kernel, stride=2, padding=1))
            found.append(x)
        return found

    return lambda pictures: _describe(pictures, features)


@dataclass(frozen=True)
class PatchSet:
    """The patches of a set of pictures, (pictures, patches, channels).

    ``spread``: the mean distance between patches of different pictures.
    """

    patches: np.ndarray
    spread: float

    @classmethod
    def of(cls, patches: np.ndarray) -> PatchSet:
        """Return a set of patches with its spread. Raises ValueError for fewer than two pictures."""
        count, each = patches.shape[:2]
        if count < 2:
            raise ValueError(f"a distance between sets needs at least two pictures of each (got {count})")
        flat = patches.reshape(count * each, -1)
        # Exclude pairs of patches within one picture.
        within = sum(_mean_distance(p, p) for p in patches) / count
        return cls(patches, (_mean_distance(flat, flat) * count - within) / (count - 1))

    def distance(self, other: PatchSet) -> float:
        """Return the squared energy distance between two sets of patches; noise can make it negative."""
        flat, others = (p.reshape(-1, p.shape[-1]) for p in (self.patches, other.patches))
        return 2 * _mean_distance(flat, others) - self.spread - other.spread


@dataclass(frozen=True)
class DomainDistance:
    """A distance of pictures from a target domain: 1 for source pictures, about 0 for target pictures.

    The value 0 is the distance between two halves of the target's pictures.

    It is the squared energy distance of patches (Székely and Rizzo, 2013), a kernel distance like KID (Bińkowski et
    al., ICLR 2018) without a bandwidth or a power to choose: unbiased for few samples, robust to outliers. Patches of
    one picture are similar, so pairs of them are excluded. Channels are scaled by their deviation in the target, and
    layers by the difference of two distances: ``same`` between halves of the target, ``other`` to the source. By layer,
    ``target`` has the target's scaled patches, ``scale`` the mean and deviation (C,) of its channels.
    """

    describe: Describe
    target: list[PatchSet]
    scale: list[tuple[np.ndarray, np.ndarray]]
    same: np.ndarray
    other: np.ndarray

    @classmethod
    def between(cls, describe: Describe, sources: Pictures, targets: Pictures) -> DomainDistance:
        """Return the distance function for two domains, from at least two source and four target pictures."""
        found = describe(evenly(targets))
        scale = [(p.mean((0, 1)), _deviations(p)) for p in found]
        whole = [(p - mean) / deviation for p, (mean, deviation) in zip(found, scale, strict=True)]
        target = [PatchSet.of(p) for p in whole]
        # Halves in time, not alternating frames, because neighbouring frames of a clip are nearly equal.
        halves = [[PatchSet.of(half) for half in (p[: len(p) // 2], p[len(p) // 2 :])] for p in whole]
        same = np.array([first.distance(second) for first, second in halves])
        other = cls(describe, target, scale, same, same).by_layer(sources)
        # A layer in which the source is nearer to the target than its halves are to each other measures only content.
        return cls(describe, target, scale, np.minimum(same, other), other)

    def by_layer(self, pictures: Pictures) -> np.ndarray:
        """Return the distance of at least two pictures in each layer, in standard deviations of target features."""
        found = self.describe(evenly(pictures))
        sides = [PatchSet.of((p - m) / d) for p, (m, d) in zip(found, self.scale, strict=True)]
        return np.array([side.distance(target) for side, target in zip(sides, self.target, strict=True)])

    @property
    def distinguishes_domains(self) -> bool:
        """Return whether the distance separates the source domain from the target domain.

        It does if the source is farther from the target than the target's halves from each other, in any layer.
        """
        return bool((self.other - self.same).max() > MIN_DOMAIN_DISTANCE)

    def __call__(self, pictures: Pictures) -> float | None:
        """Return the distance of at least two pictures, about 0 to 1; None if it cannot separate the domains."""
        if not self.distinguishes_domains:
            return None
        between = self.other - self.same
        weights = 1 / np.maximum(between, MIN_SHARE * between.max())
        return float(weights @ (self.by_layer(pictures) - self.same) / (weights @ between))


def _deviations(patches: np.ndarray) -> np.ndarray:
    """Return each channel's standard deviation, (C,), plus a share of the layer's, so that none is near 0."""
    own: np.ndarray = patches.std((0, 1))
    return own + MIN_SHARE * float(np.sqrt(np.mean(own * own))) + 1e-6


def _mean_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean Euclidean distance of rows (N, C) from rows (M, C), divided by √C."""
    squares = np.einsum("nc,nc->n", second, second)
    total = 0.0
    for start in range(0, len(first), ROWS_PER_BLOCK):
        band = first[start : start + ROWS_PER_BLOCK]
        found = np.einsum("nc,nc->n", band, band)[:, None] + squares - 2 * band @ second.T
        total += float(np.sqrt(np.maximum(found, 0)).sum(dtype=np.float64))
    return total / (len(first) * len(second) * first.shape[1] ** 0.5)


def evenly(pictures: Pictures, most: int = MAX_PICTURES) -> list[np.ndarray]:
    """Return at most ``most`` of the pictures, at even distances."""
    chosen = np.linspace(0, len(pictures) - 1, min(most, len(pictures))).round().astype(int)
    return [pictures[i] for i in chosen]


def _describe(pictures: Pictures, features: Callable[[Tensor], list[Tensor]]) -> Patches:
    """Return the features of each layer at reproducible random positions; the pictures may differ in size."""
    import torch

    random = np.random.default_rng(0)
    found: list[list[np.ndarray]] = []
    with torch.inference_mode():
        for picture in pictures:
            top, left = (int(random.integers(max(0, n - MAX_SIDE_PX) + 1)) for n in picture.shape[:2])
            part = picture[top : top + MAX_SIDE_PX, left : left + MAX_SIDE_PX]
            planes = torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1)))[None]
            layers = features(planes.float() / 127.5 - 1)
            flat = [layer[0].flatten(1).T.numpy() for layer in layers]
            found.append([p[random.choice(len(p), PATCHES, replace=len(p) < PATCHES)] for p in flat])
    return [np.stack(layer).astype(np.float32) for layer in zip(*found, strict=True)]


def pairwise_distance(pictures: Pictures) -> float | None:
    """Return the mean L1 distance between pictures at a coarse size, 0 to 1; None for fewer than two pictures."""
    small = [_scaled(p, COARSE_SIDE_PX) for p in evenly(pictures, MAX_COMPARED)]
    size = small[0].shape[1::-1] if small else (0, 0)
    return mean([l1_distance(a, resize(b, *size)) for a, b in combinations([resize(p, *size) for p in small], 2)])


def diversity(outputs: Pictures, targets: Pictures) -> float | None:
    """Return the diversity, ``pairwise_distance``, of outputs relative to that of the target's pictures.

    Near 0, all outputs are the same picture. None for fewer than two outputs or targets, and if all targets are alike.
    """
    own, wanted = pairwise_distance(outputs), pairwise_distance(targets)
    return None if own is None or wanted is None or wanted < 1 / 255 else own / wanted


def cycle_error(inputs: Pictures, returned: Pictures) -> float | None:
    """Return the mean L1 distance, 0 to 1, of inputs to their cycle reconstructions ``returned``; None if empty."""
    return mean([l1_distance(a, b) for a, b in zip(inputs, returned, strict=True)])


def temporal_error(sources: Iterable[FramePair], outputs: Iterable[FramePair]) -> float | None:
    """Return the warping error of outputs along the source's flow, relative to the warping error of the source.

    Each item is a frame and the next one of its shot. The source's error counts as at least one level of 255, because
    drawings have nearly none. None if no flow is reliable.
    """
    method = FLOWS.load(SCORING_FLOW)()
    own, given = [], []
    for (first, second), painted in zip(sources, outputs, strict=True):
        motion = FlowPair.between(grey(first), grey(second), method)
        errors = []
        for pair in ((first, second), painted):
            here, after = (picture.astype(np.float32) / 255 for picture in pair)
            errors.append(masked_error(warp(after, motion.there), here, motion.reliable))
        if None not in errors:
            given.append(errors[0])
            own.append(errors[1])
    error, floor = mean(own), mean(given)
    return None if error is None or floor is None else error / max(floor, NOTICEABLE)


def light_correlation(sources: Pictures, outputs: Pictures) -> float | None:
    """Return the correlation, −1 to 1, of lightness between sources and outputs, over areas of coarse pictures.

    It is over all pictures together, minus the mean lightness of each; None if either side is flat.
    """
    sides: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for pair in zip(sources, outputs, strict=True):
        first = _scaled(pair[0], AREAS_SIDE_PX)
        for side, picture in zip(sides, (first, resize(pair[1], *first.shape[1::-1])), strict=True):
            light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
            side.append((light - light.mean()).ravel())
    if not sides[0]:
        return None
    first, second = (np.concatenate(side) for side in sides)
    size = np.sqrt(np.mean(first * first) * np.mean(second * second))
    return float(np.mean(first * second) / size) if size > 1 else None


def _scaled(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture scaled to the short side ``side``."""
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    return resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))
