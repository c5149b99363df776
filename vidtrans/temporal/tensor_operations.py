"""OpenCV's resizing, blurring and sampling on batches of torch tensors, (N, C, H, W) float32 on any device.

Each function equals its namesake in ``flow.warping`` within rounding. The result for a picture does not depend on the
others of its batch: matrix products and dense convolutions are avoided, because their order of summation changes with
the number of pictures. ``RollingBuffer`` keeps tensors of the last frames of a shot.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from vidtrans.core.transfers import as_bits, from_bits
from vidtrans.flow.warping import CURVATURE
from vidtrans.video.colour.conversion import INTEGER_LUMA, INTEGER_LUMA_BITS

LUMA = (0.299, 0.587, 0.114)  # of ITU-R BT.601
Size = tuple[int, int]  # height, width


def planes(pictures: torch.Tensor) -> torch.Tensor:
    """Convert pictures (N, H, W, 3) to (N, 3, H, W): uint8 unchanged, 16 bits (in int16) as float32."""
    found = pictures.permute(0, 3, 1, 2)
    return found if pictures.dtype == torch.uint8 else (found.int() & 0xFFFF).float()


def grey_levels(pictures: torch.Tensor) -> torch.Tensor:
    """Return the luma of (N, 3, H, W) in whole levels of 8 or 16 bits, rounded like OpenCV: (N, H, W) float32."""
    # All sums of 8 bits are exact in float32.
    red, green, blue = (share / (1 << INTEGER_LUMA_BITS) for share in INTEGER_LUMA)
    total = torch.mul(pictures[:, 1], green).add_(pictures[:, 0], alpha=red).add_(pictures[:, 2], alpha=blue)
    return total.add_(0.5).floor_()


def luma_into(result: torch.Tensor, pictures: torch.Tensor) -> None:
    """Write the luma of the first three channels of (N, 4, H, W) and the fourth channel to ``result`` (N, 2, H, W)."""
    luma = torch.mul(pictures[:, 0], LUMA[0], out=result[:, 0])
    luma.add_(pictures[:, 1], alpha=LUMA[1]).add_(pictures[:, 2], alpha=LUMA[2])
    result[:, 1].copy_(pictures[:, 3])


def interior(padded: torch.Tensor) -> torch.Tensor:
    """Return a view of (…, H + 2, W + 2) without its border: (…, H, W)."""
    return padded[..., 1:-1, 1:-1]


# Other sizes


def grow(pictures: torch.Tensor, size: Size) -> torch.Tensor:
    """Enlarge pictures of a coarse grid to ``size``, with linear interpolation."""
    return F.interpolate(pictures, size, mode="bilinear", align_corners=False)


def shrink(pictures: torch.Tensor, size: Size) -> torch.Tensor:
    """Return the mean of pictures in each cell of a coarser grid."""
    height, width = pictures.shape[-2:]
    rows, columns = size
    if height % rows == 0 and width % columns == 0:
        return F.avg_pool2d(pictures, (height // rows, width // columns))
    places, weights, taps = _cells(height, width, rows, columns, pictures.device)
    found = sample(pictures, places.expand(len(pictures), -1, -1, -1))
    return F.avg_pool2d(found.mul_(weights), taps, divisor_override=1)


@lru_cache(maxsize=16)
def _cells(
    height: int, width: int, rows: int, columns: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, Size]:
    """Return places for linear samples, (1, h, w, 2), their weights (h, w), and the number of samples per cell.

    Edges of cells lie within pixels; a linear sample between two pixels weights both.
    """
    y, down, below = _cell_axis(height, rows)
    x, across, beside = _cell_axis(width, columns)
    places = np.stack(np.broadcast_arrays(_normalised(x, width)[None], _normalised(y, height)[:, None]), -1)
    weights = torch.from_numpy((down[:, None] * across[None]).astype(np.float32))
    return torch.from_numpy(places.astype(np.float32))[None].to(device), weights.to(device), (below, beside)


def _cell_axis(length: int, cells: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return sample places along one axis, their weights, and the number of samples per cell."""
    edges = np.arange(cells + 1) * (length / cells)
    pairs = int(np.ceil((np.ceil(length / cells) + 1) / 2))
    first = np.floor(edges[:-1] + 1e-9)
    pixels = first[:, None] + np.arange(2 * pairs)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    inside = np.clip(inside, 0, 1).reshape(cells, pairs, 2) * cells / length
    weight = inside.sum(2)
    shift = np.divide(inside[..., 1], weight, out=np.zeros_like(weight), where=weight > 0)
    return (pixels[:, ::2] + shift).ravel(), weight.ravel(), pairs


def _normalised(places: np.ndarray, length: int) -> np.ndarray:
    return 2 * places / max(length - 1, 1) - 1


def blur(pictures: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return pictures of two channels or more convolved with a Gaussian of σ pixels; the border is mirrored."""
    kernel = _gaussian(sigma, pictures.shape[1], pictures.device)
    margin = kernel.shape[-1] // 2
    padded = _mirror(pictures, margin)
    # A channel by itself is a convolution of another kind, which other libraries compute.
    rows = F.conv2d(padded, kernel, groups=pictures.shape[1])
    return F.conv2d(rows, kernel.transpose(2, 3), groups=pictures.shape[1])


def _mirror(pictures: torch.Tensor, margin: int) -> torch.Tensor:
    height, width = pictures.shape[-2:]
    if min(height, width) > margin:
        return F.pad(pictures, (margin,) * 4, mode="reflect")
    rows, columns = (_mirrored(length, margin, pictures.device) for length in (height, width))
    return pictures[..., rows[:, None], columns]  # mirrored several times


@lru_cache(maxsize=16)
def _mirrored(length: int, margin: int, device: torch.device) -> torch.Tensor:
    places = [
        cv2.borderInterpolate(at, length, cv2.BORDER_REFLECT_101) if length > 1 else 0
        for at in range(-margin, length + margin)
    ]
    return torch.tensor(places, device=device)


@lru_cache(maxsize=32)
def _gaussian(sigma: float, channels: int, device: torch.device) -> torch.Tensor:
    """Return OpenCV's float32 kernel as weights of a depthwise convolution: (C, 1, 1, taps)."""
    taps = round(sigma * 8 + 1) | 1
    kernel = torch.from_numpy(cv2.getGaussianKernel(taps, sigma, cv2.CV_32F)).view(1, 1, 1, taps)
    return kernel.repeat(channels, 1, 1, 1).to(device)


# Sampling


def sample(pictures: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Sample pictures linearly at ``places`` (N, h, w, 2), in grid_sample coordinates; the border is repeated."""
    return F.grid_sample(pictures, places, "bilinear", padding_mode="border", align_corners=True)


def write_places(moves: torch.Tensor, places: torch.Tensor, *, sign: int = 1) -> None:
    """Write the targets of ``moves``, in pixels, to ``places``, in grid_sample coordinates; (…, 2, h, w) both.

    ``sign``: −1 for the targets of moves in the opposite direction.
    """
    size: Size = tuple(moves.shape[-2:])  # type: ignore[assignment]
    base, scale = _base_places(size, (1, 1), size, moves.device)
    torch.addcmul(base, moves, scale, value=sign, out=places)


def sample_along(pictures: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Sample pictures linearly at ``places`` (N, 2, h, w); the border is repeated."""
    return sample(pictures, places.permute(0, 2, 3, 1))


def sharp_places(moves: torch.Tensor, size: Size, step: int = 1) -> torch.Tensor:
    """Return the places for ``sample_sharply`` along ``moves`` (…, 2, h, w), in pixels, for pictures of a size.

    They start at each ``step``-th pixel. Returns (…, 1, h, w, 3); ``moves`` are overwritten.
    """
    base, scale = _base_places(size, (step, step), tuple(moves.shape[-2:]), moves.device)
    places = moves.new_empty((*moves.shape[:-3], 3, *moves.shape[-2:]))
    torch.addcmul(base, moves, scale, out=places[..., :2, :, :])
    between = _between(moves)
    torch.add(between[..., 0, :, :], between[..., 1, :, :], out=places[..., 2, :, :])
    return places.movedim(-3, -1).unsqueeze(-4)


@lru_cache(maxsize=16)
def _base_places(size: Size, step: Size, shape: Size, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the places of each ``step``-th pixel, (2, h, w), and the size of a pixel, (2, 1, 1), for grid_sample."""
    (height, width), (rows, columns) = size, shape
    x = _normalised(np.arange(columns) * step[1], width).astype(np.float32)
    y = _normalised(np.arange(rows) * step[0], height).astype(np.float32)
    base = torch.from_numpy(np.stack(np.broadcast_arrays(x[None], y[:, None]))).to(device)
    scale = torch.tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)], device=device).view(2, 1, 1)
    return base, scale


def sharp_pictures(padded: torch.Tensor) -> torch.Tensor:
    """Return the input of ``sample_sharply``: (N, C, 2, H, W) from (N, C, H + 2, W + 2) with repeated borders.

    A picture minus, and plus, its second differences; a third sampling coordinate between the two sets the amount, so
    that both are sampled at once.
    """
    channels = padded.shape[1]
    made = F.conv2d(padded, _curvatures(channels, padded.device), groups=channels)
    return made.unflatten(1, (channels, 2))


@lru_cache(maxsize=8)
def _curvatures(channels: int, device: torch.device) -> torch.Tensor:
    lacking = _second_differences(1, device)[0, 0]
    same = torch.zeros(3, 3, device=device)
    same[1, 1] = 1
    return torch.stack((same - lacking, same + lacking))[:, None].repeat(channels, 1, 1, 1)


def sample_sharply(pictures: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Sample pictures like ``warping.sample_sharply``, at ``sharp_places``: (N, C, h, w)."""
    if pictures.device.type == "mps":
        return sample_each(pictures, places)
    return F.grid_sample(pictures, places, "bilinear", padding_mode="border", align_corners=True).squeeze(2)


def sample_each(pictures: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Do the same as ``sample_sharply`` with two-dimensional sampling: torch before 2.9 has no other on Apple GPUs."""
    found = sample(pictures.flatten(1, 2), places[:, 0, ..., :2]).unflatten(1, pictures.shape[1:3])
    return torch.lerp(found[:, :, 0], found[:, :, 1], (places[:, ..., 2] + 1) / 2)


def sample_moved(pictures: torch.Tensor, moves: torch.Tensor, *, is_sharp: bool) -> torch.Tensor:
    """Sample pictures (N, C, H, W) along ``moves`` (N, 2, H, W), in pixels, as ``warping.Average`` does.

    ``is_sharp``: whether samples are sharpened. Then ``moves`` are overwritten.
    """
    places = torch.empty_like(moves)
    write_places(moves, places)
    plain = sample_along(pictures, places)
    if not is_sharp:
        return plain
    kernel = _second_differences(plain.shape[1], plain.device)
    lacking = F.conv2d(F.pad(plain, (1,) * 4, mode="replicate"), kernel, groups=plain.shape[1])
    return plain.addcmul_(lacking, _between(moves).sum(1, keepdim=True))


def _between(moves: torch.Tensor) -> torch.Tensor:
    """Return the weights t(1 − t) of second differences along each axis, t from the pixel before, in place."""
    between = moves.remainder_(1)
    return between.addcmul_(between, between, value=-1)


@lru_cache(maxsize=8)
def _second_differences(channels: int, device: torch.device) -> torch.Tensor:
    ring = torch.tensor([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]]) * (CURVATURE / 2)
    return ring[None, None].repeat(channels, 1, 1, 1).to(device)


def repeat_border(padded: torch.Tensor) -> None:
    """Write the border of (N, C, H + 2, W + 2) by repeating the picture's outer pixels."""
    height, width = padded.shape[-2] - 2, padded.shape[-1] - 2
    padded[..., :: width + 1].copy_(padded[..., 1 : width + 1 : max(1, width - 1)])
    padded[..., :: height + 1, :].copy_(padded[..., 1 : height + 1 : max(1, height - 1), :])


@lru_cache(maxsize=32)
def ratio(size: Size, other: Size, device: torch.device) -> torch.Tensor:
    """Return the factor from pixels of one size to pixels of another, for x and y: (2, 1, 1)."""
    return torch.tensor([other[1] / size[1], other[0] / size[0]], device=device).view(2, 1, 1)


Picture = np.ndarray | torch.Tensor  # (H, W, 3) uint8 or uint16; tensors may have 16 bits in int16


def to_batch(pictures: list[Picture], device: torch.device) -> torch.Tensor:
    """Stack pictures (H, W, 3) in one tensor on the device, (n, H, W, 3) uint8, or 16 bits in int16: one upload."""
    if isinstance(pictures[0], np.ndarray):
        batch = as_bits(np.stack(pictures))
        return batch.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else batch.to(device)
    batch = torch.stack(pictures).to(device)  # type: ignore[arg-type]
    return batch.view(torch.int16) if batch.dtype == torch.uint16 else batch


def from_batch(pictures: torch.Tensor, like: Picture) -> list[Picture]:
    """Return the pictures of a batch as arrays, or as tensors on its device, like ``like``: one download."""
    if isinstance(like, np.ndarray):
        return list(from_bits(pictures.contiguous()))
    return list(pictures.contiguous().view(like.dtype).to(like.device))


class RollingBuffer:
    """Tensors of one shape for the frames ``first`` … ``stop`` − 1 of a shot; earlier frames were dropped."""

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float32, device: torch.device) -> None:
        self.first = self.stop = 0
        self.shape, self.device = shape, device
        self._offset = 0  # of the first frame in the memory
        self._memory = torch.empty((0, *shape), dtype=dtype, device=device)

    def reserve(self, count: int) -> torch.Tensor:
        """Return memory for the next frames, (count, …); call ``commit`` after writing to it."""
        length = self.stop - self.first
        if self._offset + length + count > len(self._memory):
            self._move(max(len(self._memory), length + count))
        start = self._offset + length
        return self._memory[start : start + count]

    def commit(self, count: int) -> None:
        """Add the frames written to the memory from ``reserve``."""
        self.stop += count

    def append(self, frames: torch.Tensor) -> None:
        """Copy frames from other memory into the buffer."""
        self.reserve(len(frames)).copy_(frames)
        self.commit(len(frames))

    def __getitem__(self, frames: slice) -> torch.Tensor:
        """Return a view of the frames of a range with a start and a stop."""
        if not self.first <= frames.start <= frames.stop <= self.stop:
            raise IndexError(f"frames {frames.start} to {frames.stop} of {self.first} to {self.stop}")
        shift = self._offset - self.first
        return self._memory[frames.start + shift : frames.stop + shift]

    def drop(self, before: int) -> None:
        """Drop the frames before frame ``before``."""
        count = min(max(0, before - self.first), self.stop - self.first)
        self.first += count
        self._offset += count

    def trim(self) -> None:
        """Free the unused memory."""
        self._move(self.stop - self.first)

    def _move(self, capacity: int) -> None:
        """Move the frames to the start of a block of memory for ``capacity`` frames."""
        frames = self._memory[self._offset : self._offset + self.stop - self.first]
        if capacity != len(self._memory):
            moved = frames.new_empty((capacity, *frames.shape[1:]))
            self._memory, frames = moved, moved[: len(frames)].copy_(frames)
        elif self._offset >= len(frames):
            self._memory[: len(frames)] = frames
        else:
            self._memory[: len(frames)] = frames.clone()  # source and target overlap
        self._offset = 0
