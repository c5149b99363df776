"""An opponent: Bonneel et al., "Blind Video Temporal Consistency", ACM ToG (SIGGRAPH Asia) 2015, from the paper.

    O_t = argmin ∫ ‖∇O_t − ∇P_t‖² + w ‖O_t − W(O_{t−1})‖² dx,    w = λ exp(−α ‖V_t − W(V_{t−1})‖²),    O_0 = P_0

with V the input, P the per-frame results, O the output, and W the warp from frame t−1 to t along the backward flow of
the input. It is recursive, forward in time. With E = O − P the minimum is (w − Δ) E = w (W(O_{t−1}) − P_t), a screened
Poisson equation with free borders, the same for each channel: solved by conjugate gradients, preconditioned by
multigrid, until what a multigrid cycle would still change is nowhere above ``TOLERANCE``.

Beside the paper: flow is DIS, not PatchMatch or the flow of Sun et al.; w is 0 also where the forward–backward test
fails; the warp is bicubic, which is in the method's favour (bilinear sampling blurs more with every frame; a switch);
the previous output is kept as floats, not rounded to 8 bits. α = 50, for values in [0, 1], is what Lai et al. (ECCV
2018) take for the same expression; from 10 to 200 it changes little.

As λ → 0 the output takes the gradients of P, and a constant that joins it to the previous frame; λ = 0 is P itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import grey
from vidtrans.flow.warping import forward_backward, squared_length, warp

ALPHA = 50.0  # for squared differences summed over RGB in [0, 1]
TOLERANCE = 1e-3  # in grey levels, 0 to 255, of what is still missing
MOST_STEPS = 200
LEAST_WEIGHT = 1e-6  # a mean weight below it, relative to λ, holds nothing together: a cut


@dataclass(frozen=True)
class Step:
    """From the frame before to this one: ``back``, the flow from this one to it, (H, W, 2) float32 in pixels, and
    ``weight``, (H, W) float32 in [0, 1], which is w / λ.
    """

    back: np.ndarray
    weight: np.ndarray


def correspondences(guides: Sequence[np.ndarray], flow: str = "dis-fine", alpha: float = ALPHA) -> list[Step]:
    """What ties each picture, (H, W, 3) uint8, to the one before it; one Step fewer than pictures.

    It does not depend on λ, so that many values can share it. Without the flow "dis-fine" it takes "dis".
    """
    method = FLOWS.load(flow if flow in FLOWS else "dis")()
    steps = []
    for before, now in pairwise(guides):
        a, b = grey(before), grey(now)
        back = method(b, a)
        reliable = forward_backward(back, method(a, b))
        one, other = now.astype(np.float32) / 255, before.astype(np.float32) / 255
        difference = squared_length(one - warp(other, back, bicubic=True))
        steps.append(Step(back, (reliable * np.exp(-alpha * difference)).astype(np.float32)))
    return steps


def bonneel(
    guides: Sequence[np.ndarray],
    processed: Sequence[np.ndarray],
    lam: float,
    flow: str = "dis-fine",
    *,
    steps: Sequence[Step] | None = None,
    bicubic: bool = True,
) -> list[np.ndarray]:
    """The per-frame results ``processed`` of ``guides`` made consistent; (H, W, 3) uint8 each, of one shot.

    ``lam``: λ, for pixels of distance 1. ``steps``: what ``correspondences`` gave, where it is known already.
    """
    steps = correspondences(guides, flow) if steps is None else steps
    last = processed[0].astype(np.float64)
    made = [processed[0].copy()]
    for picture, step in zip(processed[1:], steps, strict=True):
        per_frame = picture.astype(np.float64)
        warped = warp(last.astype(np.float32), step.back, bicubic=bicubic).astype(np.float64)
        last = blended(per_frame, warped, lam * step.weight.astype(np.float64), LEAST_WEIGHT * lam)
        made.append(np.clip(np.rint(last), 0, 255).astype(np.uint8))
    return made


def blended(picture: np.ndarray, target: np.ndarray, weight: np.ndarray, least: float = 0.0) -> np.ndarray:
    """The picture with the gradients of ``picture`` and, by ``weight``, the values of ``target``: (H, W, C) float64.

    ``weight``: (H, W) float64, at least 0. Where its mean is not above ``least``, ``picture``.
    """
    if weight.mean() <= least:
        return picture.copy()
    return picture + Screened(weight).solve(weight[..., None] * (target - picture))


# The screened Poisson equation

CROSS = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], np.float64)
DAMPING = 0.8  # of Jacobi's sweeps
SWEEPS = 2
COARSEST = 8  # pixels a side; solved directly


class Screened:
    """The operator w − Δ on a grid, five points, free (Neumann) borders; ``weight`` is (H, W) float64, not all 0."""

    def __init__(self, weight: np.ndarray) -> None:
        self.weight = weight[..., None]
        height, width = weight.shape
        degree = np.full((height, width), 4.0)
        for edge in (degree[0], degree[-1], degree[:, 0], degree[:, -1]):
            edge -= 1
        self._damped = DAMPING / np.maximum(degree[..., None] + self.weight, 1e-12)
        self._coarse: Screened | None = None
        self._inverse: np.ndarray | None = None
        if max(height, width) > COARSEST:
            # Cells twice as large: edges conduct as before, and the weight of a cell is that of its four.
            self._coarse = Screened(_gathered(self.weight)[..., 0])
        else:
            unit = np.eye(height * width).reshape(height, width, -1)
            self._inverse = np.linalg.inv(self.times(unit).reshape(height * width, -1))

    def times(self, x: np.ndarray) -> np.ndarray:
        """(w − Δ) x, for x (H, W, C) float64. A repeated border gives nothing across it."""
        return self.weight * x + cv2.filter2D(x, -1, CROSS, borderType=cv2.BORDER_REPLICATE).reshape(x.shape)

    def solve(self, right: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
        """x with (w − Δ) x = ``right``, (H, W, C) float64, each channel on its own. Raises ArithmeticError.

        ``tolerance`` is in the unit of x.
        """
        x = np.zeros_like(right)
        rest = right.copy()
        direction, last = np.zeros_like(right), np.ones(right.shape[2])
        for _ in range(MOST_STEPS):
            better = self._cycle(rest)
            if np.abs(better).max() <= tolerance:
                return x + better
            now = _dot(rest, better)
            direction = better + (now / last) * direction
            image = self.times(direction)
            stride = now / np.maximum(_dot(direction, image), 1e-300)
            x += stride * direction
            rest -= stride * image
            last = np.maximum(now, 1e-300)
        raise ArithmeticError(f"conjugate gradients are not within {tolerance} after {MOST_STEPS} steps")

    def _cycle(self, right: np.ndarray) -> np.ndarray:
        """A V-cycle from zero: symmetric, as conjugate gradients need it."""
        if self._inverse is not None:
            return (self._inverse @ right.reshape(len(self._inverse), -1)).reshape(right.shape)
        assert self._coarse is not None
        x = self._damped * right
        for _ in range(SWEEPS - 1):
            x += self._damped * (right - self.times(x))
        x += _spread(self._coarse._cycle(_gathered(right - self.times(x))), right.shape)
        for _ in range(SWEEPS):
            x += self._damped * (right - self.times(x))
        return x


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("hwc,hwc->c", a, b)


def _gathered(x: np.ndarray) -> np.ndarray:
    """Sums over cells of 2×2 pixels, (H, W, C) → (⌈H/2⌉, ⌈W/2⌉, C); what lies outside is 0."""
    height, width = x.shape[:2]
    x = np.pad(x, ((0, height % 2), (0, width % 2), (0, 0)))
    return x[0::2, 0::2] + x[1::2, 0::2] + x[0::2, 1::2] + x[1::2, 1::2]


def _spread(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The transpose of ``_gathered``: each cell's value at its pixels."""
    return x.repeat(2, axis=0).repeat(2, axis=1)[: shape[0], : shape[1]]
