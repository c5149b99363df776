"""Estimate optical flow in both directions at a working size, with OpenCV's or other registered methods."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from vidtrans.core.settings import Size
from vidtrans.flow import FLOWS
from vidtrans.flow.warping import BORDER, blur, grid, grow, halve, resize_flow
from vidtrans.video.colour.conversion import to_uint8

# Function (first picture, second picture) → flow: an instance of a registered class, see ``vidtrans.flow``
FlowMethod = Callable[[np.ndarray, np.ndarray], np.ndarray]


class FlowEstimator:
    """A registered flow method with its working size and device.

    ``short_side``: in pixels, or None for the frames' own size; frames are never enlarged. ``device``: 'cpu', 'cuda:0'
    and so on, for methods in torch. Not thread-safe. Raises UsageError for an unknown method or one that is not
    installed.
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
        """Return the forward and backward flow between prepared pictures, (H, W, 2) float32 each, in prepared pixels.

        Equal pictures give zero flow at no cost. ``warping.resize_flow`` converts a flow to another size.
        """
        if np.array_equal(first, second):
            return _zero_flow(first), _zero_flow(first)
        return self._method(first, second), self._method(second, first)

    def estimate(self, first: np.ndarray, second: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        """Return the flow from one prepared picture to another, (H, W, 2) float32 in prepared pixels.

        ``start``: a flow of this shape from which the search begins; only OpenCV's searches ('dis', 'dis-fast',
        'dis-fine') take one.
        """
        if np.array_equal(first, second):
            return _zero_flow(first)
        return self._method(first, second) if start is None else self._method(first, second, start)  # type: ignore[call-arg]


def _zero_flow(picture: np.ndarray) -> np.ndarray:
    """Return a flow of no motion for a picture."""
    return np.zeros((*picture.shape[:2], 2), np.float32)


# OpenCV chooses the coarsest level by the width alone and crashes if the height of that level is less than a patch.
# In a narrow strip, for which it uses few levels, it misses long motion.
MIN_SIDE_PX = 64  # Minimum side to which a picture is padded before OpenCV's search, in pixels


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
        """Return OpenCV's search with the parameters of this class."""
        search = cv2.DISOpticalFlow.create(self.preset)
        search.setPatchStride(self.stride)
        search.setGradientDescentIterations(self.descents)
        search.setVariationalRefinementIterations(self.refinements)
        return search

    def __call__(self, first: np.ndarray, second: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        """Return the flow between two pictures (H, W) uint8: (H, W, 2) float32 pixels. Small pictures are padded.

        ``start``: an initial flow of the same shape; the default is zero.
        """
        height, width = first.shape
        below, right = max(0, MIN_SIDE_PX - height), max(0, MIN_SIDE_PX - width)
        if below or right:
            first, second = (cv2.copyMakeBorder(p, 0, below, 0, right, cv2.BORDER_REPLICATE) for p in (first, second))
            if start is not None:
                start = cv2.copyMakeBorder(start, 0, below, 0, right, cv2.BORDER_REPLICATE)
        first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)
        # Separate objects for flow with and without a start, because OpenCV would reuse the start of an earlier call.
        search = self._search if start is None else self._from_start
        # The scale is set for each call, because OpenCV changes it for a small picture and does not restore it.
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
    """Convert an RGB picture to grey, (H, W), which is the input of most flow methods."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


# These constants of the refinement gave the temporal filter the best scores on five flickering clips.
# The clips have real flicker (one), style networks (two) and flickering tone curves (two).
WINDOW_SIGMA = 1.5  # σ of the window of the least-squares step, in pixels at half size
LIGHT_SIGMA = 4.0  # σ of the blur that isolates changes of light, which are no motion, in pixels at half size
OUTLIER = 20.0  # Difference, in grey levels, at which a pixel's weight is halved
DAMPING = 20.0  # Damping of the step where gradients are weak, in (grey levels per pixel)²
MAX_STEP_PX = 1.0  # Largest correction of the flow along each axis, in pixels
# Kernel that computes from the sum of two pictures the central difference of their mean
_SLOPE = np.array([[-0.25, 0, 0.25]], np.float32)


def refine(first: np.ndarray, second: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Refine a flow that is exact to about a pixel by a Lucas–Kanade step; return (H, W, 2) float32.

    ``first`` and ``second`` are (H, W) uint8. The remaining difference along the flow, without slow changes of light,
    is explained by the gradients: least squares around each pixel at half the size, with low weights for outliers
    (B. D. Lucas and T. Kanade, "An iterative image registration technique with an application to stereo vision", IJCAI
    1981).
    """
    height, width = first.shape
    here = first.astype(np.float32)
    there = cv2.remap(second.astype(np.float32), grid(height, width) + flow, None, cv2.INTER_LINEAR, borderMode=BORDER)
    both = cv2.add(here, there)
    across, down = (cv2.filter2D(both, -1, kernel, borderType=BORDER) for kernel in (_SLOPE, _SLOPE.T))
    change = cv2.subtract(there, here)
    change -= grow(blur(halve(change), LIGHT_SIGMA), (width, height))
    sure = cv2.multiply(change, change, scale=OUTLIER**-2)
    sure += 1
    sure_across, sure_down = cv2.divide(across, sure), cv2.divide(down, sure)
    products = [(sure_across, across), (sure_across, down), (sure_across, change), (sure_down, change)]
    packed = cv2.merge([cv2.multiply(a, b) for a, b in products])  # Four channels take little longer than one
    xx, xy, xt, yt = cv2.split(blur(halve(packed), WINDOW_SIGMA))
    yy = blur(halve(cv2.multiply(sure_down, down)), WINDOW_SIGMA)
    xx += DAMPING
    yy += DAMPING
    determinant = xx * yy - xy * xy
    steps = [(xy * yt - yy * xt) / determinant, (xy * xt - xx * yt) / determinant]
    return cv2.add(flow, grow(cv2.merge([np.clip(step, -MAX_STEP_PX, MAX_STEP_PX) for step in steps]), (width, height)))


class Farneback:
    """Farnebäck's polynomial expansion with the settings of the measure tOF (Chu et al., *TecoGAN*, 2020).

    It misses motion beyond some ten pixels; more levels, steps or a wider window did not measure better.
    """

    def __init__(self, device: str = "cpu") -> None:
        del device

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the flow between two pictures (H, W) uint8: (H, W, 2) float32 pixels."""
        return cv2.calcOpticalFlowFarneback(
            first, second, None, pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5, poly_sigma=1.2, flags=0
        )


BROX_RATIO = 0.9  # Ratio of the sizes of successive pyramid levels; 0.5 loses small, fast objects
BROX_MIN_SIDE_PX = 16  # Minimum side of the coarsest pyramid level, in pixels
BROX_WARPS = 2  # Number of warps of the second picture at each pyramid level
BROX_SMOOTHNESS = 9.0  # Weight of the flow's smoothness; OpenCV's default, 20, flattens a flow that starts at zero


class Brox:
    """The flow of Brox et al.: 9 times as slow as DIS, about as exact; scikit-image's TV-L1 takes 5 times as long."""

    def __init__(self, device: str = "cpu") -> None:
        del device
        self._solver = cv2.VariationalRefinement.create()
        self._solver.setAlpha(BROX_SMOOTHNESS)
        self._solver.setFixedPointIterations(3)

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the flow between two pictures (H, W) uint8: (H, W, 2) float32 pixels."""
        sizes = _pyramid_sizes(*first.shape)
        flow = np.zeros((sizes[-1][1], sizes[-1][0], 2), np.float32)
        for width, height in reversed(sizes):
            flow = resize_flow(flow, width, height)
            a, b = (cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in (first, second))
            for _ in range(BROX_WARPS):
                flow = self._solver.calc(a, b, flow)
        return flow


def _pyramid_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Return the (width, height) of each pyramid level, the finest first."""
    levels = [(width, height)]
    while min(levels[-1]) * BROX_RATIO >= BROX_MIN_SIDE_PX:
        shrunk = BROX_RATIO ** len(levels)
        levels.append((round(width * shrunk), round(height * shrunk)))
    return levels
