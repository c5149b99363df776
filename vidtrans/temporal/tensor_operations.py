"""OpenCV's resizing, blurring and sampling on batches of torch tensors, (N, C, H, W) float32 on any device.

Each function gives the same result, within rounding, as the function of its name in ``flow.warping``. The result for a
picture does not depend on the other pictures of its batch: matrix products and dense convolutions are avoided, because
their order of summation changes with the number of pictures. ``RollingBuffer`` stores tensors of the last frames of a
shot.
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

LUMA = (0.299, 0.587, 0.114)  # Weights of red, green and blue in luma by ITU-R BT.601
Size = tuple[int, int]  # Size of a picture or grid: (height, width)


def planes(pictures: torch.Tensor) -> torch.Tensor:
    """Convert pictures (N, H, W, 3) to planes (N, 3, H, W): uint8 unchanged, 16 bits (in int16) to float32."""
    channels_first = pictures.permute(0, 3, 1, 2)
    return channels_first if pictures.dtype == torch.uint8 else (channels_first.int() & 0xFFFF).float()


def grey_levels(pictures: torch.Tensor) -> torch.Tensor:
    """Return the luma of pictures (N, 3, H, W) as integers of 8 or 16 bits, rounded like OpenCV: (N, H, W) float32."""
    # The weights are multiples of a power of 2, so that all sums of 8-bit values are exact in float32.
    red, green, blue = (share / (1 << INTEGER_LUMA_BITS) for share in INTEGER_LUMA)
    total = torch.mul(pictures[:, 1], green).add_(pictures[:, 0], alpha=red).add_(pictures[:, 2], alpha=blue)
    return total.add_(0.5).floor_()


def write_luma(result: torch.Tensor, pictures: torch.Tensor) -> None:
    """Write to ``result``, (N, 2, H, W), the luma of RGB in the first three channels, and the fourth channel.

    ``pictures``: (N, 4, H, W).
    """
    luma = torch.mul(pictures[:, 0], LUMA[0], out=result[:, 0])
    luma.add_(pictures[:, 1], alpha=LUMA[1]).add_(pictures[:, 2], alpha=LUMA[2])
    result[:, 1].copy_(pictures[:, 3])


def interior(padded: torch.Tensor) -> torch.Tensor:
    """Return a view of padded pictures (…, H + 2, W + 2) without their border: (…, H, W)."""
    return padded[..., 1:-1, 1:-1]


def grow(pictures: torch.Tensor, size: Size) -> torch.Tensor:
    """Enlarge pictures on a coarse grid to ``size``, (height, width), with linear interpolation."""
    return F.interpolate(pictures, size, mode="bilinear", align_corners=False)


def shrink(pictures: torch.Tensor, size: Size) -> torch.Tensor:
    """Average pictures over each cell of a coarser grid of ``size``, (height, width)."""
    height, width = pictures.shape[-2:]
    rows, columns = size
    if height % rows == 0 and width % columns == 0:
        return F.avg_pool2d(pictures, (height // rows, width // columns))
    positions, weights, taps = _cells(height, width, rows, columns, pictures.device)
    sampled = sample(pictures, positions.expand(len(pictures), -1, -1, -1))
    return F.avg_pool2d(sampled.mul_(weights), taps, divisor_override=1)


@lru_cache(maxsize=16)
def _cells(
    height: int, width: int, rows: int, columns: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, Size]:
    """Return where ``shrink`` samples: positions, (1, h, w, 2), their weights, (h, w), and (rows, columns) per cell.

    Edges of cells lie within pixels; a linear sample between two pixels weights both pixels.
    """
    y, down, below = _cell_axis(height, rows)
    x, across, beside = _cell_axis(width, columns)
    positions = np.stack(np.broadcast_arrays(_normalised(x, width)[None], _normalised(y, height)[:, None]), -1)
    weights = torch.from_numpy((down[:, None] * across[None]).astype(np.float32))
    return torch.from_numpy(positions.astype(np.float32))[None].to(device), weights.to(device), (below, beside)


def _cell_axis(length: int, cells: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return (positions, weights, samples per cell) to average an axis of ``length`` pixels over each of ``cells``.

    Positions are in pixels.
    """
    edges = np.arange(cells + 1) * (length / cells)
    pairs = int(np.ceil((np.ceil(length / cells) + 1) / 2))
    first = np.floor(edges[:-1] + 1e-9)
    pixels = first[:, None] + np.arange(2 * pairs)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    inside = np.clip(inside, 0, 1).reshape(cells, pairs, 2) * cells / length
    weight = inside.sum(2)
    shift = np.divide(inside[..., 1], weight, out=np.zeros_like(weight), where=weight > 0)
    return (pixels[:, ::2] + shift).ravel(), weight.ravel(), pairs


def _normalised(positions: np.ndarray, length: int) -> np.ndarray:
    """Convert pixel positions to grid_sample coordinates, −1 to 1."""
    return 2 * positions / max(length - 1, 1) - 1


def blur(pictures: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur pictures of two or more channels with a Gaussian of ``sigma`` pixels; the border is mirrored."""
    kernel = _gaussian(sigma, pictures.shape[1], pictures.device)
    margin = kernel.shape[-1] // 2
    padded = _mirror(pictures, margin)
    # Pictures of one channel are excluded: their convolution is dense, and the library computes it by other functions.
    rows = F.conv2d(padded, kernel, groups=pictures.shape[1])
    return F.conv2d(rows, kernel.transpose(2, 3), groups=pictures.shape[1])


def _mirror(pictures: torch.Tensor, margin: int) -> torch.Tensor:
    """Pad pictures (N, C, H, W) on all four sides by ``margin`` pixels, mirrored at the border."""
    height, width = pictures.shape[-2:]
    if min(height, width) > margin:
        return F.pad(pictures, (margin,) * 4, mode="reflect")
    rows, columns = (_mirrored_indices(length, margin, pictures.device) for length in (height, width))
    return pictures[..., rows[:, None], columns]  # A small picture is mirrored several times


@lru_cache(maxsize=16)
def _mirrored_indices(length: int, margin: int, device: torch.device) -> torch.Tensor:
    """Return the index of the pixel at each position from −margin to length + margin − 1, mirrored at the border."""
    positions = [
        cv2.borderInterpolate(at, length, cv2.BORDER_REFLECT_101) if length > 1 else 0
        for at in range(-margin, length + margin)
    ]
    return torch.tensor(positions, device=device)


@lru_cache(maxsize=32)
def _gaussian(sigma: float, channels: int, device: torch.device) -> torch.Tensor:
    """Return OpenCV's Gaussian kernel as weights of a depthwise convolution, (C, 1, 1, taps) float32."""
    taps = round(sigma * 8 + 1) | 1
    kernel = torch.from_numpy(cv2.getGaussianKernel(taps, sigma, cv2.CV_32F)).view(1, 1, 1, taps)
    return kernel.repeat(channels, 1, 1, 1).to(device)


def sample(pictures: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Sample pictures linearly at ``positions``, (N, h, w, 2) in grid_sample coordinates; the border is repeated."""
    return F.grid_sample(pictures, positions, "bilinear", padding_mode="border", align_corners=True)


def write_positions(flow: torch.Tensor, positions: torch.Tensor, *, sign: int = 1) -> None:
    """Convert a flow in pixels to target positions in grid_sample coordinates; both are (…, 2, h, w).

    ``sign``: −1 for the targets of the opposite flow.
    """
    size: Size = tuple(flow.shape[-2:])  # type: ignore[assignment]
    base, scale = _base_positions(size, (1, 1), size, flow.device)
    torch.addcmul(base, flow, scale, value=sign, out=positions)


def sample_along(pictures: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Sample pictures linearly at ``positions``, (N, 2, h, w) from ``write_positions``; the border is repeated."""
    return sample(pictures, positions.permute(0, 2, 3, 1))


def sharp_positions(flow: torch.Tensor, size: Size, step: int = 1) -> torch.Tensor:
    """Return the positions for ``sample_sharply`` to which a flow, (…, 2, h, w) in pixels, leads: (…, 1, h, w, 3).

    ``size``: (height, width) of the pictures. The flow starts at each ``step``-th pixel, and is overwritten.
    """
    base, scale = _base_positions(size, (step, step), tuple(flow.shape[-2:]), flow.device)
    positions = flow.new_empty((*flow.shape[:-3], 3, *flow.shape[-2:]))
    torch.addcmul(base, flow, scale, out=positions[..., :2, :, :])
    weights = _interpolation_weights(flow)
    torch.add(weights[..., 0, :, :], weights[..., 1, :, :], out=positions[..., 2, :, :])
    return positions.movedim(-3, -1).unsqueeze(-4)


@lru_cache(maxsize=16)
def _base_positions(size: Size, step: Size, shape: Size, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the positions of every ``step``-th pixel, (2, h, w), and the size of a pixel, (2, 1, 1).

    Both are x and y in grid_sample coordinates. ``size``: of the pictures. ``shape``: (h, w).
    """
    (height, width), (rows, columns) = size, shape
    x = _normalised(np.arange(columns) * step[1], width).astype(np.float32)
    y = _normalised(np.arange(rows) * step[0], height).astype(np.float32)
    base = torch.from_numpy(np.stack(np.broadcast_arrays(x[None], y[:, None]))).to(device)
    scale = torch.tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)], device=device).view(2, 1, 1)
    return base, scale


def sharp_pictures(padded: torch.Tensor) -> torch.Tensor:
    """Return the input of ``sample_sharply``, (N, C, 2, H, W), from (N, C, H + 2, W + 2) with repeated borders.

    The input is each picture minus its second differences, and plus them. A third sampling coordinate between these two
    sets the amount of sharpening, so that both are sampled at once.
    """
    channels = padded.shape[1]
    convolved = F.conv2d(padded, _curvatures(channels, padded.device), groups=channels)
    return convolved.unflatten(1, (channels, 2))


@lru_cache(maxsize=8)
def _curvatures(channels: int, device: torch.device) -> torch.Tensor:
    """Return kernels, (2 C, 1, 3, 3), by which a picture minus, and plus, its second differences is computed."""
    lost_detail = _second_differences(1, device)[0, 0]
    same = torch.zeros(3, 3, device=device)
    same[1, 1] = 1
    return torch.stack((same - lost_detail, same + lost_detail))[:, None].repeat(channels, 1, 1, 1)


def sample_sharply(pictures: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Sample ``sharp_pictures`` at ``sharp_positions``, like ``warping.sample_sharp``; return (N, C, h, w)."""
    if pictures.device.type == "mps":
        return sample_each(pictures, positions)
    return F.grid_sample(pictures, positions, "bilinear", padding_mode="border", align_corners=True).squeeze(2)


def sample_each(pictures: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Sample like ``sample_sharply``, but by 2-D sampling, which Apple GPUs need before torch 2.9."""
    sampled = sample(pictures.flatten(1, 2), positions[:, 0, ..., :2]).unflatten(1, pictures.shape[1:3])
    return torch.lerp(sampled[:, :, 0], sampled[:, :, 1], (positions[:, ..., 2] + 1) / 2)


def sample_along_flow(pictures: torch.Tensor, flow: torch.Tensor, *, is_sharp: bool) -> torch.Tensor:
    """Sample pictures, (N, C, H, W), along a flow, (N, 2, H, W) in pixels, as ``warping.Average`` does.

    ``is_sharp``: sharpen the samples; the flow is then overwritten.
    """
    positions = torch.empty_like(flow)
    write_positions(flow, positions)
    plain = sample_along(pictures, positions)
    if not is_sharp:
        return plain
    kernel = _second_differences(plain.shape[1], plain.device)
    lost_detail = F.conv2d(F.pad(plain, (1,) * 4, mode="replicate"), kernel, groups=plain.shape[1])
    return plain.addcmul_(lost_detail, _interpolation_weights(flow).sum(1, keepdim=True))


def _interpolation_weights(flow: torch.Tensor) -> torch.Tensor:
    """Replace a flow by the weights t(1 − t) of second differences along each axis, and return it.

    t: the fraction of a pixel, 0 to 1, in the flow.
    """
    weights = flow.remainder_(1)
    return weights.addcmul_(weights, weights, value=-1)


@lru_cache(maxsize=8)
def _second_differences(channels: int, device: torch.device) -> torch.Tensor:
    """Return kernels of second differences (a scaled Laplacian), (C, 1, 3, 3), for a depthwise convolution."""
    ring = torch.tensor([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]]) * (CURVATURE / 2)
    return ring[None, None].repeat(channels, 1, 1, 1).to(device)


def repeat_border(padded: torch.Tensor) -> None:
    """Fill the border of padded pictures (N, C, H + 2, W + 2) by repeating their outer pixels."""
    height, width = padded.shape[-2] - 2, padded.shape[-1] - 2
    padded[..., :: width + 1].copy_(padded[..., 1 : width + 1 : max(1, width - 1)])
    padded[..., :: height + 1, :].copy_(padded[..., 1 : height + 1 : max(1, height - 1), :])


@lru_cache(maxsize=32)
def ratio(size: Size, other: Size, device: torch.device) -> torch.Tensor:
    """Return the factors (x, y) that convert lengths at ``size`` to lengths at ``other``, both (height, width).

    The shape is (2, 1, 1).
    """
    return torch.tensor([other[1] / size[1], other[0] / size[0]], device=device).view(2, 1, 1)


Picture = np.ndarray | torch.Tensor  # A picture (H, W, 3), uint8 or uint16; tensors may store 16 bits in int16


def to_batch(pictures: list[Picture], device: torch.device) -> torch.Tensor:
    """Upload pictures (H, W, 3) as one tensor, (n, H, W, 3) uint8, or int16 for 16 bits."""
    if isinstance(pictures[0], np.ndarray):
        batch = as_bits(np.stack(pictures))
        return batch.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else batch.to(device)
    batch = torch.stack(pictures).to(device)  # type: ignore[arg-type]
    return batch.view(torch.int16) if batch.dtype == torch.uint16 else batch


def from_batch(pictures: torch.Tensor, like: Picture) -> list[Picture]:
    """Split a batch into pictures of the kind of ``like``: arrays, in one download, or tensors on its device."""
    if isinstance(like, np.ndarray):
        return list(from_bits(pictures.contiguous()))
    return list(pictures.contiguous().view(like.dtype).to(like.device))


class RollingBuffer:
    """A buffer of tensors of one shape for the frames ``first`` … ``stop`` − 1 of a shot; it drops old frames."""

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float32, device: torch.device) -> None:
        self.first = self.stop = 0
        self.shape, self.device = shape, device
        self._offset = 0  # Index of the first frame in the memory
        self._memory = torch.empty((0, *shape), dtype=dtype, device=device)

    def reserve(self, count: int) -> torch.Tensor:
        """Return memory for the next frames, (count, …); call ``commit`` after writing to this memory."""
        length = self.stop - self.first
        if self._offset + length + count > len(self._memory):
            self._move(max(len(self._memory), length + count))
        start = self._offset + length
        return self._memory[start : start + count]

    def commit(self, count: int) -> None:
        """Add ``count`` frames that were written to the memory from ``reserve``."""
        self.stop += count

    def append(self, frames: torch.Tensor) -> None:
        """Copy the next frames from other memory into the buffer."""
        self.reserve(len(frames)).copy_(frames)
        self.commit(len(frames))

    def __getitem__(self, frames: slice) -> torch.Tensor:
        """Return a view of a range of frames. Raises IndexError if a frame was dropped or not added yet."""
        if not self.first <= frames.start <= frames.stop <= self.stop:
            raise IndexError(f"frames {frames.start} to {frames.stop} of {self.first} to {self.stop}")
        shift = self._offset - self.first
        return self._memory[frames.start + shift : frames.stop + shift]

    def drop(self, before: int) -> None:
        """Drop the frames before the number ``before``; their memory is used again."""
        count = min(max(0, before - self.first), self.stop - self.first)
        self.first += count
        self._offset += count

    def trim(self) -> None:
        """Release the memory that no frame uses."""
        self._move(self.stop - self.first)

    def _move(self, capacity: int) -> None:
        """Move the frames to the beginning of the memory, or of new memory for ``capacity`` frames."""
        frames = self._memory[self._offset : self._offset + self.stop - self.first]
        if capacity != len(self._memory):
            moved = frames.new_empty((capacity, *frames.shape[1:]))
            self._memory, frames = moved, moved[: len(frames)].copy_(frames)
        elif self._offset >= len(frames):
            self._memory[: len(frames)] = frames
        else:
            self._memory[: len(frames)] = frames.clone()  # Source and target overlap
        self._offset = 0
