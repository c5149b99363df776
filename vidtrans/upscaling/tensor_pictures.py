"""Upscaling's operations on tensors, for a GPU: pictures are (N, 3, H, W) float32, maps (N, 1, H, W).

Each function corresponds to the one of the same name in ``array_pictures``, which describes it; results are equal
within rounding. ``upload`` and ``download`` copy arrays to a device and back. A size is (width, height).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]  # (width, height) in pixels


def strips(size: Size) -> list[slice]:
    """Return the only range of rows (strip) in which a picture is processed: all rows."""
    return [slice(0, size[1])]


def strip_of(picture: Tensor, rows: slice) -> Tensor:
    """Return the whole picture, which is its only strip."""
    return picture


def join_strips(parts: Iterable[Tensor]) -> Tensor:
    """Return the picture from its only strip."""
    (picture,) = parts
    return picture


class EnlargedTensor:
    """A picture or a map at a larger size, which has one strip.

    ``is_limited``: by bilinear interpolation, which never overshoots; otherwise bicubic.
    """

    def __init__(self, picture: Tensor, size: Size, *, is_limited: bool = False) -> None:
        self._picture = enlarge_linear(picture, size) if is_limited else enlarge(picture, size)

    def __getitem__(self, rows: slice) -> Tensor:
        """Return the enlarged picture, whose only strip has all rows."""
        return self._picture


class ShrunkTensor:
    """Shrinks a large picture, which has one strip, by area averaging."""

    def __init__(self, large: Size, small: Size) -> None:
        self._small = small

    def add(self, rows: slice, strip: Tensor) -> None:
        """Add the large picture, whose only strip has all ``rows``."""
        self._picture = shrink(strip, self._small)

    def picture(self) -> Tensor:
        """Return the small picture."""
        return self._picture


def size_of(picture: Tensor) -> Size:
    """Return the (width, height) of a picture."""
    return picture.shape[3], picture.shape[2]


def shrink(picture: Tensor, size: Size) -> Tensor:
    """Shrink a picture to a size by area averaging."""
    across, down = (_averages(old, new, str(picture.device)) for old, new in zip(size_of(picture), size, strict=True))
    return down @ (picture @ across.T)


@lru_cache(maxsize=32)
def _averages(old: int, new: int, device: str) -> Tensor:
    """Return the weights, (new, old), of area averaging a row of ``old`` pixels to ``new`` pixels."""
    edges = torch.arange(new + 1, dtype=torch.float64) * (old / new)
    pixels = torch.arange(old, dtype=torch.float64)
    begin = torch.maximum(edges[:-1, None], pixels)
    end = torch.minimum(edges[1:, None], pixels + 1)
    return ((end - begin).clamp(min=0) * (new / old)).to(torch.float32).to(device)


def enlarge(picture: Tensor, size: Size) -> Tensor:
    """Enlarge a picture to a size by bicubic interpolation."""
    return F.interpolate(picture, size[::-1], mode="bicubic", align_corners=False)


def enlarge_linear(picture: Tensor, size: Size) -> Tensor:
    """Enlarge a picture or a map to a size by bilinear interpolation, which never overshoots."""
    return F.interpolate(picture, size[::-1], mode="bilinear", align_corners=False)


def extremes(picture: Tensor, reach: int = 1) -> tuple[Tensor, Tensor]:
    """Return the smallest and the largest value around each pixel, within ``reach`` pixels."""
    side = 2 * reach + 1
    return -F.max_pool2d(-picture, side, 1, reach), F.max_pool2d(picture, side, 1, reach)


def clamp(picture: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Clamp each value to the range from ``low`` to ``high`` at its pixel."""
    return torch.maximum(torch.minimum(picture, high), low)


def extend_range(low: Tensor, high: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return the range from ``low`` to ``high`` extended to contain a picture, at each pixel."""
    return torch.minimum(low, picture), torch.maximum(high, picture)


def blur(picture: Tensor, deviation: float) -> Tensor:
    """Blur a picture by a Gaussian with this standard deviation in pixels."""
    taps = round(8 * deviation + 1) | 1  # OpenCV's number of taps
    weights = cv2.getGaussianKernel(taps, deviation, cv2.CV_32F)[:, 0]
    return convolve(picture, weights, weights)


def sample_shifted(picture: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Warp a picture: sample it ``right`` and ``down`` pixels away from each pixel, by bilinear interpolation."""
    width, height = size_of(picture)
    x = torch.arange(width, device=picture.device)[None, None, None] + right
    y = torch.arange(height, device=picture.device)[None, None, :, None] + down
    places = torch.stack([(2 * x[:, 0] + 1) / width - 1, (2 * y[:, 0] + 1) / height - 1], dim=-1)
    return F.grid_sample(picture, places, padding_mode="border", align_corners=False)


def convolve(picture: Tensor, across: np.ndarray, down: np.ndarray) -> Tensor:
    """Apply a separable filter: weights ``across`` along rows, then ``down`` along columns."""
    count, reach_x, reach_y = picture.shape[1], len(across) // 2, len(down) // 2
    padded = F.pad(picture, (reach_x, reach_x, reach_y, reach_y), mode="replicate")
    along, down_kernel = (torch.from_numpy(w).to(picture.device).expand(count, 1, 1, -1) for w in (across, down))
    return F.conv2d(F.conv2d(padded, along, groups=count), down_kernel.transpose(2, 3), groups=count)


def mean_around(channel: Tensor, reach: int) -> Tensor:
    """Return the mean of a map over the square within ``reach`` pixels of each pixel."""
    return F.avg_pool2d(F.pad(channel, (reach,) * 4, mode="replicate"), 2 * reach + 1, 1)


def plus(one: Tensor, other: Tensor, factor: float = 1) -> Tensor:
    """Return ``one + factor * other`` of two pictures or two maps."""
    return torch.add(one, other, alpha=factor)


def plus_product(total: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Return ``total + one * other`` of three maps."""
    return torch.addcmul(total, one, other)


def minus(one: Tensor, other: Tensor) -> Tensor:
    """Return ``one - other`` of two pictures or two maps."""
    return one - other


def times(picture: Tensor, weights: Tensor) -> Tensor:
    """Multiply each channel of a picture by a map."""
    return picture * weights


def product(one: Tensor, other: Tensor) -> Tensor:
    """Return the product of two pictures, summed over the channels, as a map."""
    return (one * other).sum(dim=1, keepdim=True)


def clip(values: Tensor, low: float, high: float) -> Tensor:
    """Clip all values to the range from ``low`` to ``high``."""
    return values.clamp(low, high)


def luma(picture: Tensor) -> Tensor:
    """Return the luma of a picture, with the weights of BT.601, as a map."""
    red, green, blue = channels(picture)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def channels(picture: Tensor) -> Sequence[Tensor]:
    """Return the channels of a picture as maps."""
    return picture.split(1, dim=1)


def merge(maps: Sequence[Tensor]) -> Tensor:
    """Return the picture with these maps as channels."""
    return torch.cat(list(maps), dim=1)


class TensorColourMap:
    """A colour map by lattice nodes, (n, n, n, 3) in the order blue, green, red, with trilinear interpolation.

    It takes one picture at a time.
    """

    def __init__(self, nodes: np.ndarray) -> None:
        self._nodes = torch.from_numpy(nodes).permute(3, 0, 1, 2)[None]

    def __call__(self, picture: Tensor) -> Tensor:
        """Map the colours of a picture."""
        places = picture.permute(0, 2, 3, 1)[:, None] * 2 - 1
        nodes = self._nodes.to(picture.device)
        return F.grid_sample(nodes, places, padding_mode="border", align_corners=True)[:, :, 0]


def upload(picture: np.ndarray, device: torch.device | str) -> Tensor:
    """Copy a picture of any dtype to a device, as (1, 3, H, W) float32 in [0, 1]."""
    most = 1 if picture.dtype == np.float32 else np.iinfo(picture.dtype).max
    wide = picture.astype(np.int32) if picture.dtype == np.uint16 else picture
    on_device = torch.from_numpy(np.ascontiguousarray(wide)).to(device)
    return on_device.permute(2, 0, 1)[None].to(torch.float32) / most


def download(picture: Tensor, dtype: np.dtype[np.generic]) -> np.ndarray:
    """Copy a picture, (3, H, W) in [0, 1], from its device to an array (H, W, 3) of a dtype."""
    on_host = picture.permute(1, 2, 0)
    if dtype == np.float32:
        return on_host.cpu().numpy()
    kind = torch.uint8 if dtype == np.uint8 else torch.int32  # Torch has few operations for uint16
    most = np.iinfo(dtype).max  # type: ignore[type-var]
    levels = (on_host * most).round().to(kind)
    return levels.contiguous().cpu().numpy().astype(dtype, copy=False)


def on_host(picture: Tensor) -> np.ndarray:
    """Return the only picture of a batch as an array (H, W, 3)."""
    return picture[0].permute(1, 2, 0).contiguous().cpu().numpy()


EnlargedStrips, ShrinkSum, colour_map = EnlargedTensor, ShrunkTensor, TensorColourMap  # Names that both modules have
