"""Run a network on overlapping tiles in sequence, for pictures too large for memory or a network of fixed size.

Tiles begin at multiples of the network's stride, so that a pixel has the same phase in a tile as in the whole picture.
A tile whose side equals the stride is the exception, because it could not overlap. The rim of a tile lacks context, so
it is cut off, and neighbouring tiles are cross-faded.

Instance norms and squeeze-and-excitation layers use the whole picture. With separate statistics the colours of
neighbouring tiles would differ. So the network first runs on the picture downscaled to a tile's size, and the tiles use
the statistics of that run. This does not work for self-attention, in which each tile sees only itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.networks.layers import SqueezeExcitation

MIN_TILE_PX = 256  # Smallest side of a tile in pixels; most of a smaller tile would overlap its neighbours
# Tiles of 256 pixels reach 46 dB (PSNR) against the whole picture with the bundled model; with overlap 96, 35 dB.
OVERLAP_PX = 128  # Overlap of neighbouring tiles, in pixels
# Number of cells along each side of a tile of fixed size: ``_with_tones`` averages colours in each cell, and
# neighbouring tiles overlap by the width of a cell
NUM_CELLS = 4
GlobalLayer = nn.InstanceNorm2d | SqueezeExcitation  # Layers whose output depends on the whole picture
# Mean and variance of each layer's input, (N, C) float32, by layer
NormStatistics = dict[nn.Module, tuple[Tensor, Tensor]]


def next_tile_side(side: int, multiple: int) -> int | None:
    """Return half of a tile's ``side`` in pixels, at least ``MIN_TILE_PX``; None if the result is not smaller.

    The half is rounded up to a multiple of ``multiple``.
    """
    half = max(MIN_TILE_PX, side // 2)
    half += -half % multiple
    return half if half < side else None


def tile_starts(length: int, tile: int, multiple: int, overlap: int = OVERLAP_PX) -> list[int]:
    """Return the first pixels of evenly spread tiles with sides of ``tile`` pixels that cover ``length`` pixels.

    Each first pixel is a multiple of ``multiple``, unless a tile's side is ``multiple``. Tiles overlap by at least
    ``overlap`` pixels or half a tile, whichever is less, rounded down to a multiple.
    """
    if tile >= length:
        return [0]
    grid = multiple if tile > multiple else 1
    overlap = max(grid, min(overlap, tile // 2) // grid * grid)
    count = -(-(length - overlap) // (tile - overlap))
    return [(length - tile) * i // (count - 1) // grid * grid for i in range(count)]


def fade_weights(overlap: int, *, fades: bool = True) -> Tensor:
    """Return the weights of the right or lower tile across an overlap, (overlap,): a fade if ``fades``, else a step.

    The weights rise from 0 to 1: a fade is in the middle quarter of the overlap, a step in the middle.
    """
    if not fades:
        return (torch.arange(overlap) >= overlap // 2).to(torch.float32)
    rim = 3 * overlap // 8
    t = (torch.arange(overlap, dtype=torch.float64) - rim + 0.5) / (overlap - 2 * rim)
    t = t.clamp(0, 1)
    return (t * t * (3 - 2 * t)).to(torch.float32)


def blend_tiles(parts: Iterable[Tensor], starts: Sequence[int], length: int, dim: int, *, fades: bool = True) -> Tensor:
    """Join overlapping tiles to ``length`` pixels along axis ``dim`` (2 or 3), cross-faded if ``fades``, else cut.

    ``parts``: the tiles, of equal sizes; ``starts``: the first position of each tile. The weights of two tiles add up
    to exactly one, so that equal values stay unchanged.
    """
    blended: Tensor | None = None
    end = 0
    for start, part in zip(starts, parts, strict=True):
        if blended is None:
            blended = part.new_empty([*part.shape[:dim], length, *part.shape[dim + 1 :]])
        overlap, size = end - start, part.shape[dim]
        share = fade_weights(overlap, fades=fades).to(part.device).reshape([-1] + [1] * (3 - dim))
        blended.narrow(dim, start, overlap).lerp_(part.narrow(dim, 0, overlap), share)
        blended.narrow(dim, end, size - overlap).copy_(part.narrow(dim, overlap, size - overlap))
        end = start + size
    assert blended is not None
    return blended


def run_tiled(
    network: Callable[[Tensor], Tensor],
    x: Tensor,
    side: int,
    multiple: int,
    global_layers: Sequence[GlobalLayer] = (),
    *,
    fades: bool = True,
) -> Tensor:
    """Run ``network``, (N, C, H, W) → (N, 3, H, W), in tiles with sides up to ``side``, cross-faded if ``fades``.

    H, W and ``side`` are multiples of ``multiple``. ``global_layers``: the layers that use the whole picture.
    """
    height, width = x.shape[2:]
    tall, wide = min(height, side), min(width, side)
    rows, columns = tile_starts(height, tall, multiple), tile_starts(width, wide, multiple)

    statistics: NormStatistics = {}
    if global_layers:
        with record_statistics(global_layers) as statistics:
            network(F.interpolate(x, (tall, wide), mode="area"))
    with use_statistics(statistics):
        tile = lambda top, left: network(_cut(x, top, left, tall, wide))  # noqa: E731
        return _run_grid(tile, rows, columns, (height, width), fades=fades)


def run_fixed(
    network: Callable[[Tensor], Tensor], x: Tensor, size: tuple[int, int], multiple: int, *, matched: bool
) -> Tensor:
    """Run a ``network`` of fixed input ``size`` (h, w) on tiles of (N, C, H, W); ``matched``: match the tiles' colours.

    The network maps (N, C, h, w) to (N, 3, h, w), and the result is (N, 3, H, W). H, W, h and w are multiples of
    ``multiple``. ``matched`` is for a network with whole-picture statistics that cannot be set from outside. Then the
    low-frequency tones of each tile, averaged over a quarter of its sides, are set to the tones of the output for the
    downscaled picture: on 960×540 pixels the means of neighbouring tiles differed by 26 levels without this step, and
    by 3 with it.
    """
    (height, width), (tall, wide) = x.shape[2:], size
    rows, columns = (tile_starts(n, tile, multiple, tile // NUM_CELLS) for n, tile in ((height, tall), (width, wide)))
    if len(rows) == len(columns) == 1:
        return network(x)
    coarse = network(F.interpolate(x, size, mode="area")) if matched else None
    if coarse is not None:
        coarse = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)

    def run(top: int, left: int) -> Tensor:
        """Return the network's output for the tile at (top, left), with tones matched if ``matched``."""
        output = network(_cut(x, top, left, tall, wide).contiguous())
        return output if coarse is None else _with_tones(output, _cut(coarse, top, left, tall, wide))

    return _run_grid(run, rows, columns, (height, width))


def _cut(x: Tensor, top: int, left: int, tall: int, wide: int) -> Tensor:
    """Return the tile of ``x`` (N, C, H, W) that begins at (top, left), ``tall`` × ``wide`` pixels."""
    return x[:, :, top : top + tall, left : left + wide]


def _run_grid(
    run: Callable[[int, int], Tensor],
    rows: Sequence[int],
    columns: Sequence[int],
    size: tuple[int, int],
    *,
    fades: bool = True,
) -> Tensor:
    """Join the tiles ``run(top, left)`` for all first rows and columns to ``size`` (H, W), cross-faded if ``fades``."""
    strips = (blend_tiles((run(top, left) for left in columns), columns, size[1], 3, fades=fades) for top in rows)
    return blend_tiles(strips, rows, size[0], 2, fades=fades)


def _with_tones(tile: Tensor, reference: Tensor) -> Tensor:
    """Return a tile (N, 3, h, w) whose mean colours in each of 4×4 cells are close to those of ``reference``.

    ``reference``: the same part of the output for the downscaled picture, (N, 3, h, w).
    """
    error = F.interpolate(reference - tile, (NUM_CELLS, NUM_CELLS), mode="area")
    return tile + F.interpolate(error, tile.shape[2:], mode="bilinear", align_corners=False)


@contextmanager
def record_statistics(modules: Iterable[nn.Module]) -> Iterator[NormStatistics]:
    """Yield a table of the mean and variance, (N, C) each, of each module's input; running the modules fills it."""
    statistics: NormStatistics = {}

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Store mean and variance of a layer's input; a forward hook."""
        variance, mean = torch.var_mean(inputs[0].to(torch.float32), (2, 3), correction=0)
        statistics[module] = mean, variance

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_pre_hook(record).remove)
        yield statistics


@contextmanager
def use_statistics(statistics: NormStatistics) -> Iterator[None]:
    """Make layers use recorded statistics instead of the statistics of their input within this context."""
    with ExitStack() as stack:
        for module, (mean, variance) in statistics.items():
            vars(module)["forward"] = _forward_with_statistics(module, mean, variance)
            stack.callback(vars(module).pop, "forward")
        yield


def _forward_with_statistics(module: nn.Module, mean: Tensor, variance: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a forward function for a layer that uses the given mean and variance, (N, C) each."""
    if isinstance(module, SqueezeExcitation):
        return lambda x: x * module.weigh(mean.to(x.dtype)[..., None, None])
    assert isinstance(module, nn.InstanceNorm2d)

    def norm(x: Tensor) -> Tensor:
        """Normalise ``x`` (N, C, H, W) with the given statistics of each picture."""
        # torch requires that weights and statistics have the same dtype.
        weight, bias = (None if p is None else p.to(mean.dtype) for p in (module.weight, module.bias))
        normed = [
            F.batch_norm(p, m, v, weight, bias, False, 0.0, module.eps)
            for p, m, v in zip(x.split(1), mean, variance, strict=True)
        ]
        return normed[0] if len(normed) == 1 else torch.cat(normed)

    return norm
