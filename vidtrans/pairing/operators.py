"""Pairings as tensor operators, for exported model files that include the pairing.

A pairing names a class of this module in ``operators``. The class uses only operators that torch can export in a graph
for pictures of any size: no OpenCV, and no branches that depend on pixels, except TorchScript loops. Filters and
resampling equal those of OpenCV. Edges are found by the steps of Canny (1986) in integers, as in OpenCV. The strokes of
the pairing 'sketch' are found by its own steps, within rounding.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.pairing.base import Pairing
from vidtrans.pairing.edges import MEAN_TONE, MIN_TONE_DEVIATION, SOBEL_GAIN, TONE_DEVIATION, tone_kernel
from vidtrans.pairing.sketch import (
    COLOUR_SHARE,
    FAINTEST_RESPONSE,
    FULL_RESPONSE,
    MAX_DARKNESS,
    SIGMA_RATIO,
    STROKE_REACH,
    SURROUNDINGS_SIGMA,
    TAPS,
)
from vidtrans.video.colour.conversion import INTEGER_LUMA, INTEGER_LUMA_BITS

FIXED_POINT = 256  # Sum of the integer weights of OpenCV's blur of 8-bit pictures
LUMA = (0.299, 0.587, 0.114)  # Weights of red, green and blue in luma by ITU-R BT.601
SQUARED_SLOPE_BITS = 21  # Number of bits of the squared slope, which is at most 2 · (4 · 255)²
TAN_22_5, FIXED_ONE = 13573.0, 32768.0  # tan 22.5° and 1 in units of 2⁻¹⁵, as OpenCV's Canny rounds them
WHITE_QUANTILE = 0.98  # Quantile of a picture's squared slopes from which the gradient channel is white
SURROUNDINGS_SCALE = 4  # Factor by which pictures are shrunk to compute the strength of lines around each pixel
# Most source pixels along a side that one pixel covers: at half the size, and at 1 / ``SURROUNDINGS_SCALE``
HALF_SIZE_TAPS, SURROUNDINGS_TAPS = 3, 9


def compile_script(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Compile a function with TorchScript, because a trace would fix its loops and comparisons to those of one picture.

    The decorator is for functions of tensors and integers. torch advises against TorchScript, but older programs read
    only this format.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(function)


class PairingOperators(nn.Module):
    """A module that computes, by tensor operators, a pairing's network input and its ``finish``.

    This class suits a pairing whose input is the frame itself. Pictures are *levels*: (N, C, H, W) float32 from 0
    to 255, integers if they come from 8 bits. ``smallest``: the least side of a frame in pixels.

    Args:
        pairing: The pairing with its settings.
        conditions: Values, 0 to 1, of the constant planes in the network's input.
    """

    smallest: ClassVar[int] = 1

    def __init__(self, pairing: Pairing, conditions: tuple[float, ...] = ()) -> None:
        super().__init__()
        self.settings: Any = pairing.settings
        self.conditions = conditions

    def forward(self, frame: Tensor) -> Tensor:
        """Compute the network's input, (N, in_channels, H, W), from frames, (N, 3, H, W), with levels from 0 to 255."""
        return frame

    def finish(self, frame: Tensor, output: Tensor) -> Tensor:
        """Restore source content of the frames in the output, such as the luma; (N, 3, H, W), 0 to 255, each."""
        return output


def integer_luma(frame: Tensor) -> Tensor:
    """Return the luma, (N, 1, H, W), of RGB integers from 0 to 255, (N, 3, H, W), rounded as by ``COLOR_RGB2GRAY``.

    The products are below 2²⁴, so that float32 holds them exactly.
    """
    red, green, blue = (frame[:, c : c + 1] * float(INTEGER_LUMA[c]) for c in range(3))
    return torch.floor((red + green + blue + float(1 << (INTEGER_LUMA_BITS - 1))) / float(1 << INTEGER_LUMA_BITS))


def luma(frame: Tensor) -> Tensor:
    """Return the luma, (N, 1, H, W), of RGB pictures, (N, 3, H, W), in the same range, without rounding."""
    return frame[:, :1] * LUMA[0] + frame[:, 1:2] * LUMA[1] + frame[:, 2:3] * LUMA[2]


@compile_script
def places(x: Tensor, side: int, beyond: int = 0) -> Tensor:
    """Return the indices along dimension ``side`` of ``x``, (n,) int64, and ``beyond`` more indices at both ends."""
    return torch.arange(-beyond, x.size(side) + beyond, device=x.device)


def mirror_pad(x: Tensor, width: int, side: int) -> Tensor:
    """Pad pictures (N, C, H, W) by ``width`` mirrored pixels (REFLECT_101) at both ends of dimension ``side``."""
    last = x.shape[side] - 1
    at = places(x, side, width)
    at = last - (torch.remainder(at, 2 * last) - last).abs()
    return x.index_select(side, at)


def filter_symmetric(x: Tensor, kernel: list[float], side: int) -> Tensor:
    """Correlate pictures (N, C, H, W) with a symmetric ``kernel`` of odd length along ``side``; the border is mirrored.

    The result is a sum of shifted pictures instead of a convolution, so that integers below 2²⁴ are exact in every
    library.
    """
    reach = len(kernel) // 2
    padded, length = mirror_pad(x, reach, side), x.shape[side]
    total = padded.narrow(side, reach, length) * kernel[reach]
    for i in range(reach):
        both = padded.narrow(side, i, length) + padded.narrow(side, 2 * reach - i, length)
        total = total + both * kernel[i]
    return total


def fixed_point_kernel(sigma: float) -> list[float]:
    """Return the weights, in 256ths, of OpenCV's Gaussian blur of 8-bit pictures, measured on the installed OpenCV.

    The weights are measured on step edges of all heights, because OpenCV's rounding is not documented.
    """
    reach = round(3 * sigma)
    steps = np.zeros((256, 4 * reach + 8), np.uint8)
    middle = 2 * reach + 4
    steps[:, middle:] = np.arange(256, dtype=np.uint8)[:, None]
    # Each row is blurred separately, in a picture of equal rows, so that only the blur along the row has an effect.
    blurred = np.stack(
        [cv2.GaussianBlur(row[None].repeat(3, 0), (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)[1] for row in steps]
    )
    shares = np.arange(FIXED_POINT + 1)
    rounded = (np.arange(256)[:, None] * shares + FIXED_POINT // 2) // FIXED_POINT
    places = range(middle - reach - 1, middle + reach + 1)
    reached = [int(shares[(rounded == blurred[:, place, None]).all(axis=0)][0]) for place in places]
    return [float(weight) for weight in np.diff(reached)]


def gaussian_kernel(sigma: float) -> list[float]:
    """Return the weights of OpenCV's Gaussian blur of float pictures, an odd number. ``sigma``: σ in pixels."""
    size = round(sigma * 8 + 1) | 1
    return [float(weight) for weight in cv2.getGaussianKernel(size, sigma, cv2.CV_32F)[:, 0]]


def blur(x: Tensor, kernel: list[float]) -> Tensor:
    """Blur pictures (N, C, H, W) by the symmetric ``kernel`` along both sides; the border is mirrored."""
    return filter_symmetric(filter_symmetric(x, kernel, 3), kernel, 2)


def sobel(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slopes of (N, C, H, W) to the right and downwards, times 8, by Sobel's kernel; same shape."""
    height, width = x.shape[2], x.shape[3]
    across, down = mirror_pad(x, 1, 3), mirror_pad(x, 1, 2)
    dx = across.narrow(3, 2, width) - across.narrow(3, 0, width)
    dy = down.narrow(2, 2, height) - down.narrow(2, 0, height)
    return filter_symmetric(dx, [1.0, 2.0, 1.0], 2), filter_symmetric(dy, [1.0, 2.0, 1.0], 3)


def shrink(x: Tensor, height: int, width: int, taps: int) -> Tensor:
    """Shrink pictures (N, C, H, W) by area averaging (INTER_AREA). ``taps``: most averaged pixels along a side."""
    return _shrink_side(_shrink_side(x, height, 2, taps), width, 3, taps)


def _shrink_side(x: Tensor, size: int, side: int, taps: int) -> Tensor:
    """Shrink pictures along dimension ``side`` to ``size`` pixels by area averaging."""
    length = x.shape[side]
    number = places(x, side)[:size]
    # A pixel of the result begins at number · length / size, which is computed in integers to avoid rounding.
    begin, total = number * length, None
    first = torch.div(begin, size, rounding_mode="floor")
    for tap in range(taps):
        at = first + tap
        # The overlap of source pixel ``at`` with the result's pixel, in units of 1 / size of a pixel.
        left = torch.maximum(begin, at * size)
        right = torch.minimum(begin + length, (at + 1) * size)
        weight = (right - left).clamp(min=0).to(x.dtype) / length
        shape = (1, 1, -1, 1) if side == 2 else (1, 1, 1, -1)
        part = x.index_select(side, at.clamp(max=length - 1)) * weight.reshape(shape)
        total = part if total is None else total + part
    assert total is not None
    return total


def interpolate(x: Tensor, height: int, width: int) -> Tensor:
    """Resize pictures (N, C, H, W) by linear interpolation (INTER_LINEAR)."""
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


def enlarge(x: Tensor, factor: int) -> Tensor:
    """Enlarge pictures (N, C, H, W) by ``factor``, bicubic as in OpenCV (Keys 1981, a = −0.75), with repeated border.

    Libraries round positions between pixels differently; therefore each phase is a sum with fixed weights.
    """
    for side in (3, 2):
        at, last = places(x, side, 2), x.shape[side] - 1
        padded = x.index_select(side, at.clamp(min=0).minimum(torch.as_tensor(last)))
        phases = []
        for number in range(factor):
            place = (number + 0.5) / factor - 0.5
            before = math.floor(place)
            parts = [
                padded.narrow(side, 2 + before + tap, x.shape[side]) * _cubic(place - before - tap)
                for tap in range(-1, 3)
            ]
            phases.append(parts[0] + parts[1] + parts[2] + parts[3])
        x = torch.stack(phases, side + 1).flatten(side, side + 1)
    return x


def _cubic(distance: float, a: float = -0.75) -> float:
    """Return the bicubic weight of a pixel at a ``distance`` of at most two pixels. ``a``: the parameter of Keys."""
    d = abs(distance)
    return ((a + 2) * d - (a + 3)) * d * d + 1 if d <= 1 else ((a * d - 5 * a) * d + 8 * a) * d - 4 * a


def sample(x: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """Sample pictures (N, 1, H, W) at positions, (N, H, W) in pixels, bilinearly; the border is mirrored."""
    height, width = x.shape[2], x.shape[3]
    grid = torch.stack([column * 2 / (width - 1) - 1, row * 2 / (height - 1) - 1], dim=-1)
    return F.grid_sample(x, grid, "bilinear", padding_mode="reflection", align_corners=True)


def blur_by_matrix(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur pictures (N, C, h, w) by a Gaussian of ``sigma``, a scalar tensor; its radius is less than a side.

    The blur is a product with a matrix for each side, computed at run time, because σ depends on the picture's size.
    """
    reach = torch.div(torch.round(8 * sigma + 1), 2, rounding_mode="floor")
    down, right = (_blur_matrix(places(x, side).to(x.dtype), sigma, reach) for side in (2, 3))
    return torch.matmul(torch.matmul(down, x), right.transpose(0, 1))


def _blur_matrix(at: Tensor, sigma: Tensor, reach: Tensor) -> Tensor:
    """Return the weights, (n, n), of a Gaussian blur along one side, with a row for each output pixel.

    ``at``: the indices of the pixels, (n,). ``reach``: the radius in pixels. Weights of mirrored pixels are included.
    """
    offsets = at[None] - at[:, None], at[None] + at[:, None], 2 * at[-1] - at[None] - at[:, None]

    def weight(offset: Tensor) -> Tensor:
        """Return the Gaussian's value at offsets in pixels, 0 beyond its radius."""
        return torch.exp(-0.5 * (offset / sigma) ** 2) * (offset <= reach) * (offset >= -reach)

    direct, before, after = (weight(offset) for offset in offsets)
    total = direct + before * (at[None] > 0) + after * (at[None] < at[-1])
    return total / total.sum(1, keepdim=True)


class ColorizeOperators(PairingOperators):
    """The operators of ``Colorize``: the luma is the input, and only the output's chroma is used."""

    def forward(self, frame: Tensor) -> Tensor:
        """Return the luma of frames, (N, 3, H, W) → (N, 1, H, W), with levels from 0 to 255."""
        return integer_luma(torch.round(frame))

    def finish(self, frame: Tensor, output: Tensor) -> Tensor:
        """Combine the frame's luma with the output's chroma, desaturated where out of range; (N, 3, H, W) levels.

        The result is not rounded.
        """
        light = luma(frame)
        chroma = output - luma(output)
        above = torch.amax(chroma, 1, keepdim=True).clamp(min=1e-3)
        below = (-torch.amin(chroma, 1, keepdim=True)).clamp(min=1e-3)
        saturation = torch.minimum((255.0 - light) / above, light / below).clamp(0.0, 1.0)
        return (chroma * saturation + light).clamp(0.0, 255.0)


class EnlargeOperators(PairingOperators):
    """The operators of ``Enlarge``: the input is the frame interpolated to ``factor`` times its size."""

    def forward(self, frame: Tensor) -> Tensor:
        """Enlarge frames, (N, 3, H, W) → (N, 3, factor · H, factor · W), with levels from 0 to 255."""
        return torch.round(enlarge(frame, self.settings.factor)).clamp(0.0, 255.0)


class LookOperators(PairingOperators):
    """The operators of ``LookPairing``: append a constant plane for each of the ``conditions`` to the frame."""

    def forward(self, frame: Tensor) -> Tensor:
        """Append the condition planes to frames, (N, 3, H, W) → (N, 3 + conditions, H, W), with levels 0 to 255."""
        planes = [torch.full_like(frame[:, :1], float(round(255 * value))) for value in self.conditions]
        return torch.cat([frame, *planes], 1)


class EdgeOperators(PairingOperators):
    """The operators of ``Edges``: the lines are equal bit for bit, the gradient and tone channels within rounding."""

    smallest = 2

    def __init__(self, pairing: Pairing, conditions: tuple[float, ...] = ()) -> None:
        super().__init__(pairing, conditions)
        self.kernel = fixed_point_kernel(self.settings.sigma) if self.settings.sigma > 0 else []
        self.tone_kernel = [float(one) for one in tone_kernel(self.settings.tone_sigma)]

    def forward(self, frame: Tensor) -> Tensor:
        """Find lines (255 on 0), gradients, tones of frames, (N, 3, H, W) → (N, 1 to 3, H, W), with levels 0 to 255."""
        settings = self.settings
        grey = integer_luma(torch.round(frame))
        soft = [self._tone(grey)] if settings.tone_channel else []
        if self.kernel:
            grey = torch.floor((blur(grey, self.kernel) + FIXED_POINT**2 / 2) / FIXED_POINT**2)  # As OpenCV rounds
        dx, dy = sobel(grey)
        squared = dx * dx + dy * dy
        floor = (SOBEL_GAIN * settings.min_gradient) ** 2
        # In float64, as Python computes them, because whole lines depend on these thresholds.
        high = torch.sqrt(quantile(squared, 1 - settings.density).to(torch.float64).clamp(min=floor))
        low = settings.hysteresis * high
        strong_threshold, weak_threshold = (torch.floor(slope * slope).to(torch.float32) for slope in (high, low))
        peaks = is_peak(dx, dy, squared)
        weak, strong = peaks * (squared > weak_threshold), peaks * (squared > strong_threshold)
        lines = grow(strong, weak) * 255.0
        if not settings.gradient_channel:
            return torch.cat([lines, *soft], 1)
        ceiling = quantile(squared, WHITE_QUANTILE).clamp(min=max(floor, 1e-6))
        strength = torch.sqrt(torch.sqrt((squared / ceiling).clamp(max=1.0))) * 255.0
        return torch.cat([lines, torch.round(strength), *soft], 1)

    def _tone(self, grey: Tensor) -> Tensor:
        """Return the blurred luma, normalised as in ``edges``, (N, 1, H, W) levels."""
        blurred = blur(grey, self.tone_kernel)
        centred = blurred - blurred.mean((2, 3), keepdim=True)
        deviation = torch.sqrt((centred * centred).mean((2, 3), keepdim=True)).clamp(min=float(MIN_TONE_DEVIATION))
        return torch.round((float(MEAN_TONE) + centred * (float(TONE_DEVIATION) / deviation)).clamp(0.0, 255.0))


def quantile(values: Tensor, share: float) -> Tensor:
    """Return the quantile ``share``, 0 to 1, of the integers of each picture, (N, 1, 1, 1), as in ``edges``.

    The quantile is found by bisection, one bit at a time: values (N, 1, H, W) below 2²¹ are compared 21 times, not
    sorted.
    """
    size = torch.ones_like(values[:1]).to(torch.int64).sum()
    rank = torch.minimum((size.to(torch.float64) * share).to(torch.int64), size - 1)
    found = torch.zeros_like(values[:, :, :1, :1])
    for bit in range(SQUARED_SLOPE_BITS - 1, -1, -1):
        candidate = found + float(1 << bit)
        below = (values < candidate).to(torch.int64).sum(dim=(1, 2, 3), keepdim=True)
        found = torch.where(below <= rank, candidate, found)
    return found


def is_peak(dx: Tensor, dy: Tensor, squared: Tensor) -> Tensor:
    """Return 1.0 where the squared slope is largest across the edge, else 0.0, (N, 1, H, W).

    ``dx``, ``dy``: the slopes. Outside of the picture the slope counts as 0.
    """
    height, width = squared.shape[2], squared.shape[3]
    padded = F.pad(squared, (1, 1, 1, 1))

    def neighbour(down: int, right: int) -> Tensor:
        """Return the squared slope of the neighbour at an offset in pixels."""
        return padded.narrow(2, 1 + down, height).narrow(3, 1 + right, width)

    x, y = dx.abs(), dy.abs()
    across = y * FIXED_ONE < x * TAN_22_5
    # |y| > x · tan 67.5°, which is x · (2 + tan 22.5°), arranged so that float32 holds both sides exactly.
    upright = (y - 2 * x) * FIXED_ONE > x * TAN_22_5
    same_sign = (dx < 0) == (dy < 0)
    is_across = (squared > neighbour(0, -1)) & (squared >= neighbour(0, 1))
    is_upright = (squared > neighbour(-1, 0)) & (squared >= neighbour(1, 0))
    falling = (squared > neighbour(-1, -1)) & (squared > neighbour(1, 1))
    rising = (squared > neighbour(-1, 1)) & (squared > neighbour(1, -1))
    # Logical operators instead of ``where``, because ONNX Runtime's Where does not support booleans.
    slanted = (same_sign & falling) | (~same_sign & rising)
    steep = (upright & is_upright) | (~upright & slanted)
    return ((across & is_across) | (~across & steep)).to(squared.dtype)


@compile_script
def grow(strong: Tensor, weak: Tensor) -> Tensor:
    """Return the lines, (N, 1, H, W) of 0.0 and 1.0: all ``weak`` pixels that are connected to a ``strong`` pixel."""
    lines = strong
    before = -torch.ones_like(strong.sum())
    after = strong.sum()
    while bool(after > before):
        for _ in range(8):  # Steps between two checks for convergence
            lines = F.max_pool2d(lines, 3, 1, 1) * weak
        before = after
        after = lines.sum()
    return lines


class SketchOperators(PairingOperators):
    """The operators of ``Sketch``: the strokes are equal within one grey level."""

    smallest = 16

    def __init__(self, pairing: Pairing, conditions: tuple[float, ...] = ()) -> None:
        super().__init__(pairing, conditions)
        width = self.settings.sigma
        self.fine, self.coarse, self.tensor, self.tone = (
            gaussian_kernel(sigma) for sigma in (width, SIGMA_RATIO * width, 1.25 * width, 3 * width)
        )

    def forward(self, frame: Tensor) -> Tensor:
        """Draw frames, (N, 3, H, W) levels, in strokes, dark (0) on white (255): (N, 1, H, W) levels."""
        picture = torch.sqrt(torch.round(frame) / 255.0)
        fine = blur(picture, self.fine)
        difference = blur(picture, self.coarse) - fine
        lightness = luma(difference)
        response = lightness + COLOUR_SHARE * (torch.amax(difference, 1, keepdim=True) - lightness)
        strokes = _smooth_along_edges(response, *_edge_directions(fine, self.tensor), self.settings.sigma)
        strength = strokes / (_local_rms(strokes) + self.settings.min_contrast)
        pressed = ((strength - FAINTEST_RESPONSE) / (FULL_RESPONSE - FAINTEST_RESPONSE)).clamp(0.0, 1.0)
        light = 1 - MAX_DARKNESS * torch.tanh(1.6 * pressed) / float(np.tanh(1.6))
        if self.settings.shading > 0:
            tone = blur(luma(picture), self.tone)
            light = light * (1 - self.settings.shading * (1 - tone / 0.75).clamp(0.0, 1.0))
        return torch.round(255.0 * light)


def _edge_directions(picture: Tensor, kernel: list[float]) -> tuple[Tensor, Tensor]:
    """Return unit vectors along the edges of pictures (N, 3, H, W): x and y components, (N, 1, H, W) each."""
    height, width = picture.shape[2], picture.shape[3]
    dx, dy = sobel(shrink(picture, (height + 1) // 2, (width + 1) // 2, HALF_SIZE_TAPS))
    parts = [part.sum(1, keepdim=True) for part in (dx * dx - dy * dy, 2 * dx * dy)]
    cosine, sine = (interpolate(blur(part, kernel), height, width) for part in parts)
    cosine = cosine / (torch.sqrt(cosine * cosine + sine * sine) + 1e-12)
    along_x = torch.sqrt(((1 - cosine) / 2).clamp(min=0.0))
    return torch.where(sine < 0, along_x, -along_x), torch.sqrt(((1 + cosine) / 2).clamp(min=0.0))


def _smooth_along_edges(response: Tensor, along_x: Tensor, along_y: Tensor, width: float) -> Tensor:
    """Average line responses (N, 1, H, W) along the unit vectors of edges. ``width``: the σ of strokes in pixels."""
    x = places(response, 3).to(response.dtype)
    y = places(response, 2).to(response.dtype)[:, None]
    total, weights = response, 1.0
    for tap in range(1, TAPS + 1):
        weight = float(np.exp(-0.5 * (1.5 * tap / TAPS) ** 2))
        for step in (-STROKE_REACH * width * tap / TAPS, STROKE_REACH * width * tap / TAPS):
            there = sample(response, x + step * along_x[:, 0], y + step * along_y[:, 0])
            total = total + weight * there
            weights += weight
    return total / weights


def _local_rms(response: Tensor) -> Tensor:
    """Return the root mean square of responses (N, 1, H, W) in a wide Gaussian window, in the same shape."""
    height, width = response.shape[2], response.shape[3]
    small = shrink(response * response, height // SURROUNDINGS_SCALE, width // SURROUNDINGS_SCALE, SURROUNDINGS_TAPS)
    short = torch.minimum(torch.as_tensor(height), torch.as_tensor(width)).to(response.dtype)
    smooth = blur_by_matrix(small, (SURROUNDINGS_SIGMA / SURROUNDINGS_SCALE * short).clamp(min=0.5))
    return torch.sqrt(interpolate(smooth, height, width))
