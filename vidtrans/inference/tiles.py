"""Run a network on overlapping tiles, one after the other: for pictures too large for memory, or for a fixed size.

Tiles begin where the network's own grid has a cell, so that a pixel falls on the same place of it as in the whole
picture; a tile of no more than one cell is the exception, for it could not overlap. What a network cannot see beyond a
tile's rim shows most at the rim, so the rim is cut away, and between two tiles one passes smoothly into the other.

Some layers look at the whole picture: instance norms, and squeeze and excitation. Were each tile left to its own
statistics, its colours would differ from its neighbour's. So the picture goes through once as a small one, of a tile's
size, and the tiles take over what it found. Self-attention cannot be had so: each tile attends within itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.networks.layers import SqueezeExcitation

SMALLEST = 256  # pixels; below it, a tile is more rim than picture
OVERLAP = 128  # pixels: the bundled model's tiles of 256 are then 46 dB from the whole picture; with 96, 35 dB
CELLS = 4  # a side of a tile of fixed size: over each of them tones are averaged; as much of it overlaps the next
GlobalLayer = nn.InstanceNorm2d | SqueezeExcitation  # what looks at the whole picture
NormStatistics = dict[nn.Module, tuple[Tensor, Tensor]]  # mean and variance, (N, C) float32, of what goes in


def next_tile_side(side: int, multiple: int) -> int | None:
    """Return the next smaller side of tiles, a multiple; None where that would be below ``SMALLEST``, or no smaller."""
    half = max(SMALLEST, side // 2)
    half += -half % multiple
    return half if half < side else None


def tile_starts(length: int, tile: int, multiple: int, overlap: int = OVERLAP) -> list[int]:
    """Return where tiles begin that cover a length evenly, with ``overlap`` or more; both sizes are multiples."""
    if tile >= length:
        return [0]
    grid = multiple if tile > multiple else 1
    overlap = max(grid, min(overlap, tile // 2) // grid * grid)
    count = -(-(length - overlap) // (tile - overlap))
    return [(length - tile) * i // (count - 1) // grid * grid for i in range(count)]


def ramp(overlap: int) -> Tensor:
    """Return the later tile's share where two overlap, (overlap,) float32: it rises in the middle quarter."""
    rim = 3 * overlap // 8
    t = (torch.arange(overlap, dtype=torch.float64) - rim + 0.5) / (overlap - 2 * rim)
    t = t.clamp(0, 1)
    return (t * t * (3 - 2 * t)).to(torch.float32)


def blend_tiles(parts: Iterable[Tensor], at: Sequence[int], length: int, side: int) -> Tensor:
    """Return one tensor of that length along ``side``, 2 (rows) or 3 (columns), from parts of equal size.

    Each fades into what there is, so that the weights add up to one whatever the rounding: where all parts agree,
    nothing changes.
    """
    whole: Tensor | None = None
    end = 0
    for start, part in zip(at, parts, strict=True):
        if whole is None:
            whole = part.new_empty([*part.shape[:side], length, *part.shape[side + 1 :]])
        overlap, size = end - start, part.shape[side]
        share = ramp(overlap).to(part.device).reshape([-1] + [1] * (3 - side))
        whole.narrow(side, start, overlap).lerp_(part.narrow(side, 0, overlap), share)
        whole.narrow(side, end, size - overlap).copy_(part.narrow(side, overlap, size - overlap))
        end = start + size
    assert whole is not None
    return whole


def run_tiled(
    network: Callable[[Tensor], Tensor], x: Tensor, side: int, multiple: int, whole: Sequence[GlobalLayer] = ()
) -> Tensor:
    """Run ``network``, (N, C, H, W) → (N, 3, H, W), in tiles of at most ``side`` pixels a side.

    H, W and ``side`` are multiples. ``whole`` is what of the network looks at the whole picture.
    """
    height, width = x.shape[2:]
    tall, wide = min(height, side), min(width, side)
    rows, columns = tile_starts(height, tall, multiple), tile_starts(width, wide, multiple)

    statistics: NormStatistics = {}
    if whole:
        with record_statistics(whole) as statistics:
            network(F.interpolate(x, (tall, wide), mode="area"))
    with use_statistics(statistics):
        return _run_grid(lambda top, left: network(_cut(x, top, left, tall, wide)), rows, columns, (height, width))


def run_fixed(
    network: Callable[[Tensor], Tensor], x: Tensor, size: tuple[int, int], multiple: int, *, matched: bool
) -> Tensor:
    """Run ``network``, which takes nothing but (N, C, *size), on (N, C, H, W) that is no smaller → (N, 3, H, W).

    H, W and ``size`` are multiples. ``matched``: it looks at whole pictures, and cannot be told what it would have
    found there. So the broad tones of each tile, averages over a quarter of its sides, become those of the picture
    that it makes of the whole, shrunk to one tile: on 960×540 pixels tones of neighbours were 26 levels apart in the
    mean without, and 3 with it.
    """
    (height, width), (tall, wide) = x.shape[2:], size
    rows, columns = (tile_starts(n, tile, multiple, tile // CELLS) for n, tile in ((height, tall), (width, wide)))
    if len(rows) == len(columns) == 1:
        return network(x)
    whole = network(F.interpolate(x, size, mode="area")) if matched else None
    if whole is not None:
        whole = F.interpolate(whole, (height, width), mode="bilinear", align_corners=False)

    def run(top: int, left: int) -> Tensor:
        made = network(_cut(x, top, left, tall, wide).contiguous())
        return made if whole is None else _with_tones(made, _cut(whole, top, left, tall, wide))

    return _run_grid(run, rows, columns, (height, width))


def _cut(x: Tensor, top: int, left: int, tall: int, wide: int) -> Tensor:
    return x[:, :, top : top + tall, left : left + wide]


def _run_grid(
    run: Callable[[int, int], Tensor], rows: Sequence[int], columns: Sequence[int], size: tuple[int, int]
) -> Tensor:
    """Blend the tiles that ``run`` gives for each row and column at which one begins."""
    strips = (blend_tiles((run(top, left) for left in columns), columns, size[1], 3) for top in rows)
    return blend_tiles(strips, rows, size[0], 2)


def _with_tones(made: Tensor, wanted: Tensor) -> Tensor:
    """Return a tile with the broad tones of another picture of its size."""
    off = F.interpolate(wanted - made, (CELLS, CELLS), mode="area")
    return made + F.interpolate(off, made.shape[2:], mode="bilinear", align_corners=False)


@contextmanager
def record_statistics(modules: Iterable[nn.Module]) -> Iterator[NormStatistics]:
    """Yield the statistics of what these modules take in, filled as they run."""
    statistics: NormStatistics = {}

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(inputs[0].to(torch.float32), (2, 3), correction=0)
        statistics[module] = mean, variance

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_pre_hook(record).remove)
        yield statistics


@contextmanager
def use_statistics(statistics: NormStatistics) -> Iterator[None]:
    """Let modules use recorded statistics instead of those of their input."""
    with ExitStack() as stack:
        for module, (mean, variance) in statistics.items():
            vars(module)["forward"] = _forward_with(module, mean, variance)
            stack.callback(vars(module).pop, "forward")
        yield


def _forward_with(module: nn.Module, mean: Tensor, variance: Tensor) -> Callable[[Tensor], Tensor]:
    if isinstance(module, SqueezeExcitation):
        return lambda x: x * module.weigh(mean.to(x.dtype)[..., None, None])
    assert isinstance(module, nn.InstanceNorm2d)

    def norm(x: Tensor) -> Tensor:
        # Weights as the statistics are, whatever the pictures: this is what torch takes together.
        weight, bias = (None if p is None else p.to(mean.dtype) for p in (module.weight, module.bias))
        normed = [
            F.batch_norm(p, m, v, weight, bias, False, 0.0, module.eps)
            for p, m, v in zip(x.split(1), mean, variance, strict=True)
        ]
        return normed[0] if len(normed) == 1 else torch.cat(normed)

    return norm
