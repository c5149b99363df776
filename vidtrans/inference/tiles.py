"""Run a network on overlapping tiles, in sequence: for pictures too large for memory, or a network of fixed size.

Tiles begin at multiples of the network's own grid, so that a pixel has the same position in it as in the whole picture;
a tile of a single cell is the exception, for it could not overlap. Context is missing most at a tile's rim, so the rim
is cut off, and neighbouring tiles are cross-faded.

Some layers use the whole picture: instance norms, and squeeze and excitation. With separate statistics each tile's
colours would differ from its neighbour's. So the picture is run once downscaled to a tile's size, and the tiles use the
statistics of that run. This does not work for self-attention: each tile attends within itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.networks.layers import SqueezeExcitation

SMALLEST = 256  # pixels a side; a smaller tile is mostly rim
OVERLAP = 128  # pixels: the bundled model's tiles of 256 are then 46 dB from the whole picture; with 96, 35 dB
CELLS = 4  # cells along a fixed-size tile: tones are averaged over each, and neighbouring tiles overlap by one cell
GlobalLayer = nn.InstanceNorm2d | SqueezeExcitation  # layers that use the whole picture
NormStatistics = dict[nn.Module, tuple[Tensor, Tensor]]  # mean and variance of a layer's input, (N, C) float32


def next_tile_side(side: int, multiple: int) -> int | None:
    """Return half of a tile's side, at least ``SMALLEST``, rounded up to a multiple; None if that is not smaller."""
    half = max(SMALLEST, side // 2)
    half += -half % multiple
    return half if half < side else None


def tile_starts(length: int, tile: int, multiple: int, overlap: int = OVERLAP) -> list[int]:
    """Return the first pixels of tiles that cover ``length``, evenly spread; all are multiples of ``multiple``.

    Tiles overlap by at least ``overlap`` pixels, or half a tile if that is less, rounded down to a multiple. A tile of
    one cell may begin at any pixel.
    """
    if tile >= length:
        return [0]
    grid = multiple if tile > multiple else 1
    overlap = max(grid, min(overlap, tile // 2) // grid * grid)
    count = -(-(length - overlap) // (tile - overlap))
    return [(length - tile) * i // (count - 1) // grid * grid for i in range(count)]


def ramp(overlap: int, *, fades: bool = True) -> Tensor:
    """Return the later tile's weight across an overlap, (overlap,) float32: 0, then 1, rising in the middle quarter.

    It rises at once in the middle unless it ``fades``.
    """
    if not fades:
        return (torch.arange(overlap) >= overlap // 2).to(torch.float32)
    rim = 3 * overlap // 8
    t = (torch.arange(overlap, dtype=torch.float64) - rim + 0.5) / (overlap - 2 * rim)
    t = t.clamp(0, 1)
    return (t * t * (3 - 2 * t)).to(torch.float32)


def blend_tiles(parts: Iterable[Tensor], at: Sequence[int], length: int, side: int, *, fades: bool = True) -> Tensor:
    """Cross-fade parts of equal size into one tensor of ``length`` along dimension ``side``, 2 (rows) or 3 (columns).

    Each part fades into the previous ones with weights that add up to one whatever the rounding: where all parts agree,
    nothing changes.
    """
    whole: Tensor | None = None
    end = 0
    for start, part in zip(at, parts, strict=True):
        if whole is None:
            whole = part.new_empty([*part.shape[:side], length, *part.shape[side + 1 :]])
        overlap, size = end - start, part.shape[side]
        share = ramp(overlap, fades=fades).to(part.device).reshape([-1] + [1] * (3 - side))
        whole.narrow(side, start, overlap).lerp_(part.narrow(side, 0, overlap), share)
        whole.narrow(side, end, size - overlap).copy_(part.narrow(side, overlap, size - overlap))
        end = start + size
    assert whole is not None
    return whole


def run_tiled(
    network: Callable[[Tensor], Tensor],
    x: Tensor,
    side: int,
    multiple: int,
    whole: Sequence[GlobalLayer] = (),
    *,
    fades: bool = True,
) -> Tensor:
    """Run ``network``, (N, C, H, W) → (N, 3, H, W), in tiles of at most ``side`` pixels a side.

    H, W and ``side`` are multiples of ``multiple``. ``whole``: the layers that use the whole picture. ``fades``:
    tiles are cross-faded, not cut.
    """
    height, width = x.shape[2:]
    tall, wide = min(height, side), min(width, side)
    rows, columns = tile_starts(height, tall, multiple), tile_starts(width, wide, multiple)

    statistics: NormStatistics = {}
    if whole:
        with record_statistics(whole) as statistics:
            network(F.interpolate(x, (tall, wide), mode="area"))
    with use_statistics(statistics):
        tile = lambda top, left: network(_cut(x, top, left, tall, wide))  # noqa: E731
        return _run_grid(tile, rows, columns, (height, width), fades=fades)


def run_fixed(
    network: Callable[[Tensor], Tensor], x: Tensor, size: tuple[int, int], multiple: int, *, matched: bool
) -> Tensor:
    """Run ``network``, which accepts only (N, C, *size), on (N, C, H, W) that is no smaller → (N, 3, H, W).

    H, W and ``size`` are multiples of ``multiple``. ``matched``: the network uses whole-picture statistics, which
    cannot be set from outside. The broad tones of each tile, averaged over a quarter of its sides, are then set to
    those of the output for the downscaled picture: on 960×540 pixels neighbouring tiles differed by 26 levels in the
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
    run: Callable[[int, int], Tensor],
    rows: Sequence[int],
    columns: Sequence[int],
    size: tuple[int, int],
    *,
    fades: bool = True,
) -> Tensor:
    """Blend the tiles that ``run(top, left)`` gives for each row and column start."""
    strips = (blend_tiles((run(top, left) for left in columns), columns, size[1], 3, fades=fades) for top in rows)
    return blend_tiles(strips, rows, size[0], 2, fades=fades)


def _with_tones(made: Tensor, wanted: Tensor) -> Tensor:
    """Return ``made``, a tile, with the broad tones of ``wanted``, a picture of the same size."""
    off = F.interpolate(wanted - made, (CELLS, CELLS), mode="area")
    return made + F.interpolate(off, made.shape[2:], mode="bilinear", align_corners=False)


@contextmanager
def record_statistics(modules: Iterable[nn.Module]) -> Iterator[NormStatistics]:
    """Yield a table of the mean and variance of the modules' inputs, which is filled as they run."""
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
    """Make modules use recorded statistics instead of those of their input within this context."""
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
        # Weights in the statistics' dtype, whatever the pictures': torch requires them to be equal.
        weight, bias = (None if p is None else p.to(mean.dtype) for p in (module.weight, module.bias))
        normed = [
            F.batch_norm(p, m, v, weight, bias, False, 0.0, module.eps)
            for p, m, v in zip(x.split(1), mean, variance, strict=True)
        ]
        return normed[0] if len(normed) == 1 else torch.cat(normed)

    return norm
