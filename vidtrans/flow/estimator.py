"""Estimate flow in both directions at a working size, with OpenCV's or other registered methods."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from vidtrans.core.settings import Size
from vidtrans.flow import FLOWS
from vidtrans.flow.warping import BORDER, blur, grid, grow, halve, resize_flow
from vidtrans.video.colour.conversion import to_uint8

# An instance of a registered class, (first, second) → flow; ``vidtrans.flow`` describes it.
FlowMethod = Callable[[np.ndarray, np.ndarray], np.ndarray]


class FlowEstimator:
    """A registered flow method with its working size.

    ``short_side``: in pixels, or None for the frames' own size; frames are never enlarged. ``device``: 'cpu', 'cuda:0'
    and so on, for methods in torch. Not thread-safe. Raises UsageError for an unknown method or
    one that is not installed.
    """

    def __init__(self, method: str = "dis", short_side: int | None = None, device: str = "cpu") -> None:
        self._short_side = short_side
        self._takes = FLOWS[method].takes
        self._method: FlowMethod = FLOWS.load(method)(device)

    def prepare(self, rgb: np.ndarray) -> np.ndarray:
        """Convert a frame (H, W, 3) uint8 or uint16 to the method's input: uint8, grey or RGB, at the working size."""
        picture = grey(rgb) if self._takes == "grey" else rgb
        height, width = picture.shape[:2]
        if self._short_side is not None and min(width, height) > self._short_side:
            size = Size(short=self._short_side).of(width, height)
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(to_uint8(picture))

    def estimate_both(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the flow from one prepared picture to another and back: (H, W, 2) float32 each, in prepared pixels.

        Equal pictures give zero flow at no cost. ``warping.resize_flow`` converts a flow to another size.
        """
        if np.array_equal(first, second):
            return _still(first), _still(first)
        return self._method(first, second), self._method(second, first)

    def estimate(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the flow from one prepared picture to another, as ``estimate_both`` does."""
        return _still(first) if np.array_equal(first, second) else self._method(first, second)


def _still(picture: np.ndarray) -> np.ndarray:
    return np.zeros((*picture.shape[:2], 2), np.float32)


# Pictures are padded to this. Below it OpenCV crashes (it chooses the coarsest level by the width, and then the height
# does not hold a patch), and along a strip it finds only short motion: the strip has no levels.
NARROWEST = 64


class DISMedium:
    """Dense inverse search (Kroeger et al., ECCV 2016) down to half size, then a Lucas–Kanade step at full size.

    OpenCV's medium preset with fewer patches and descents.
    """

    preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    finest = 1
    stride, descents, refinements = 4, 12, 3
    refined_at_full_size = True

    def __init__(self, device: str = "cpu") -> None:
        del device
        self._search, self._from_start = self._make(), self._make()

    def _make(self) -> cv2.DISOpticalFlow:
        search = cv2.DISOpticalFlow.create(self.preset)
        search.setPatchStride(self.stride)
        search.setGradientDescentIterations(self.descents)
        search.setVariationalRefinementIterations(self.refinements)
        return search

    def __call__(self, first: np.ndarray, second: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        """Return the flow between two pictures (H, W) uint8: (H, W, 2) float32 pixels. Small pictures are padded.

        ``start``: an initial flow of the same shape, instead of zero.
        """
        height, width = first.shape
        below, right = max(0, NARROWEST - height), max(0, NARROWEST - width)
        if below or right:
            first, second = (cv2.copyMakeBorder(p, 0, below, 0, right, cv2.BORDER_REPLICATE) for p in (first, second))
            if start is not None:
                start = cv2.copyMakeBorder(start, 0, below, 0, right, cv2.BORDER_REPLICATE)
        first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)
        # OpenCV's object would reuse an earlier start for a call without one.
        search = self._search if start is None else self._from_start
        # Where a picture is too small for that scale, OpenCV chooses another, and keeps to it for all that follow.
        search.setFinestScale(self.finest)
        flow = search.calc(first, second, None if start is None else np.array(start, np.float32))
        if self.refined_at_full_size:
            flow = refine(first, second, flow)
        return np.ascontiguousarray(flow[:height, :width])


class DISFast(DISMedium):
    """Dense inverse search with OpenCV's fast preset: patches down to a quarter of the size."""

    preset = cv2.DISOPTICAL_FLOW_PRESET_FAST
    finest = 2
    stride, descents, refinements = 4, 16, 5
    refined_at_full_size = False


class DISFine(DISMedium):
    """Dense inverse search with patches down to full size.

    With the medium preset's stride of 3 and 25 descents it would take 1.5 times as long, with the same errors
    within 4 %.
    """

    finest = 0
    stride, descents, refinements = 4, 12, 5
    refined_at_full_size = False


def grey(rgb: np.ndarray) -> np.ndarray:
    """Convert an RGB picture to grey, (H, W), the input of most flow methods."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


# Chosen by the temporal filter's scores on five clips: real flicker, two style networks, two tone curves that flicker.
AROUND = 1.5  # σ, in pixels of half the size, of the neighbourhood that moves as one
LIGHTING = 4.0  # … over which a difference in brightness is that of the light
OUTLIER = 20.0  # grey levels: a difference that counts half
DAMPING = 20.0  # squared grey levels per pixel: how strong gradients are that decide
LONGEST = 1.0  # pixels in each axis
_SLOPE = np.array([[-0.25, 0, 0.25]], np.float32)  # of the sum of two pictures: the central difference of their mean


def refine(first: np.ndarray, second: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Refine a flow that is right within about a pixel by a step of Lucas and Kanade's method: (H, W, 2) float32.

    ``first`` and ``second`` are (H, W) uint8. The difference left along the flow, without slow changes of light, is
    explained by the gradients: least squares around each pixel at half the size, with low weights for outliers
    (B. D. Lucas and T. Kanade, "An iterative image registration technique with an application to stereo vision", IJCAI
    1981).
    """
    height, width = first.shape
    here = first.astype(np.float32)
    there = cv2.remap(second.astype(np.float32), grid(height, width) + flow, None, cv2.INTER_LINEAR, borderMode=BORDER)
    both = cv2.add(here, there)
    across, down = (cv2.filter2D(both, -1, kernel, borderType=BORDER) for kernel in (_SLOPE, _SLOPE.T))
    change = cv2.subtract(there, here)
    change -= grow(blur(halve(change), LIGHTING), (width, height))
    sure = cv2.multiply(change, change, scale=OUTLIER**-2)
    sure += 1
    sure_across, sure_down = cv2.divide(across, sure), cv2.divide(down, sure)
    products = [(sure_across, across), (sure_across, down), (sure_across, change), (sure_down, change)]
    packed = cv2.merge([cv2.multiply(a, b) for a, b in products])  # four channels take little longer than one
    xx, xy, xt, yt = cv2.split(blur(halve(packed), AROUND))
    yy = blur(halve(cv2.multiply(sure_down, down)), AROUND)
    xx += DAMPING
    yy += DAMPING
    determinant = xx * yy - xy * xy
    steps = [(xy * yt - yy * xt) / determinant, (xy * xt - xx * yt) / determinant]
    return cv2.add(flow, grow(cv2.merge([np.clip(step, -LONGEST, LONGEST) for step in steps]), (width, height)))


class Farneback:
    """Farnebäck's polynomial expansion with the settings of the measure tOF (Chu et al., *TecoGAN*, 2020).

    More levels, steps or a wider window were not better when measured: it misses motion beyond some ten pixels.
    """

    def __init__(self, device: str = "cpu") -> None:
        del device

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the flow between two pictures (H, W) uint8: (H, W, 2) float32 pixels."""
        return cv2.calcOpticalFlowFarneback(
            first, second, None, pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5, poly_sigma=1.2, flags=0
        )


BROX_RATIO = 0.9  # of a level to the one below; with 0.5 small fast things are lost
BROX_SMALLEST_SIDE = 16
BROX_WARPS = 2  # how often the second picture is warped at each level
BROX_SMOOTHNESS = 9.0  # OpenCV's own 20 is for refining a good field and flattens one that begins with nothing


class Brox:
    """Brox et al.'s flow: 9 times as slow as DIS, and about as exact; scikit-image's TV-L1 is 5 times slower still."""

    def __init__(self, device: str = "cpu") -> None:
        del device
        self._solver = cv2.VariationalRefinement.create()
        self._solver.setAlpha(BROX_SMOOTHNESS)
        self._solver.setFixedPointIterations(3)

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the flow between two pictures (H, W) uint8: (H, W, 2) float32 pixels."""
        sizes = _sizes(*first.shape)
        flow = np.zeros((sizes[-1][1], sizes[-1][0], 2), np.float32)
        for width, height in reversed(sizes):
            flow = resize_flow(flow, width, height)
            a, b = (cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in (first, second))
            for _ in range(BROX_WARPS):
                flow = self._solver.calc(a, b, flow)
        return flow


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Return the (width, height) of each pyramid level, the finest first."""
    levels = [(width, height)]
    while min(levels[-1]) * BROX_RATIO >= BROX_SMALLEST_SIDE:
        shrunk = BROX_RATIO ** len(levels)
        levels.append((round(width * shrunk), round(height * shrunk)))
    return levels
