"""A style transfer network whose norms another network predicts from a picture: any picture's look, without training.

Ghiasi et al., "Exploring the structure of a real-time, arbitrary neural artistic stylization network", BMVC 2017, as
Magenta distilled it for phones. The predicted norms are weights of this network, for each of its looks. Two things
differ, so that strokes move with what they paint (Zhang, "Making convolutional networks shift-invariant again", ICML
2019): a blur before each stride, and bilinear instead of nearest upsampling. Where nothing was trained on a clip, the
picture is corrected: a grey style has no coloured fringes (``with_tone``), and edges no bright rims (``without_rims``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.options import option
from vidtrans.core.settings import Table
from vidtrans.networks.convolutions import BlurredConv, TiledConv
from vidtrans.networks.layers import ReflectPad
from vidtrans.networks.painter import KERNEL, Block, Layer, condition_channels, fading, read_conditions

CHANNELS = 8  # The channels at full size of the network whose norms are predicted.
NORMS = ("scale", "shift", "stroke_scale", "stroke_shift")  # The parameters of a layer's norm.
BLOCKS = 5
STRIDE = 4  # The side in pixels of a cell in which bright rims are found.
# Radii in cells: of the guided filter, from a rim to its edge, and of a rim's surroundings.
RADIUS, REACH, WIDE = 3, 8, 30
PASSES = 2  # Each removes half of a rim.
LEVELS = 4  # The levels of each channel in the lattice of colours.
# Variances of the source's luma, from -1 to 1: of a plain area, of an edge.
SMOOTH, EDGE = 0.04**2, 0.12**2
DARK = 0.02  # The luma above which a rim counts in full.
LUMA = (0.2126, 0.7152, 0.0722)  # BT.709
NO_TONE = torch.cat([torch.eye(3).flatten(), torch.zeros(3)])
NORMED = (
    *(f"blocks.{n}.{half}" for n in range(BLOCKS) for half in ("first", "second")),
    "up.0",
    "up.1",
    "head",
)  # layers


@dataclass(frozen=True)
class PredictedStyleSettings:
    """Settings of ``PredictedStyle``: the number of looks, and the width."""

    looks: int = option(
        0,
        "number of looks; above 0 the input ends with the stroke size, and with several looks also their weights",
        bounds=(0, 32),
    )
    corrects: bool = option(False, "colours of grey styles stay grey, and bright rims beside edges are removed")
    channels: int = option(
        2 * CHANNELS,
        "channels at full size; 2 and 4 times as many further in; the look at once, with which it begins, has 8",
        bounds=(CHANNELS, 128),
    )


class PredictedStyle(nn.Module):
    """Generator c9s1-8, d16, d32 without norms, R32×5, u16, u8, c9s1-3; norms by look, and a sigmoid at the end."""

    Settings = PredictedStyleSettings
    multiple = 8
    smallest = 16

    def __init__(self, in_channels: int, out_channels: int, settings: PredictedStyleSettings) -> None:
        super().__init__()
        self.looks, self.conditions = settings.looks, condition_channels(settings.looks)
        if settings.corrects:
            self.tone = nn.Parameter(NO_TONE.repeat(max(settings.looks, 1), 1))
        self.corrects = settings.corrects
        looks, (first, second, third) = settings.looks, (settings.channels * 2**n for n in range(3))
        self.down = nn.ModuleList(
            (
                nn.Sequential(ReflectPad(KERNEL // 2), TiledConv(in_channels - self.conditions, first, KERNEL)),
                nn.Sequential(ReflectPad(2), BlurredConv(first, second)),
                nn.Sequential(ReflectPad(2), BlurredConv(second, third)),
            )
        )
        self.blocks = nn.ModuleList(Block(third, looks) for _ in range(BLOCKS))
        self.up = nn.ModuleList(Layer(a, b, looks, larger="bilinear") for a, b in ((third, second), (second, first)))
        self.head = Layer(first, out_channels, looks, KERNEL)

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw weights that keep the strength of the signal, since three layers have no norm (He et al., ICCV 2015)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def styles(self) -> dict[str, nn.Parameter]:
        """Return the parameters that differ by look, (looks, numbers) each, by name: those of norms, and the tone."""
        names = [f"{layer}.norm.{part}" for layer in NORMED for part in NORMS]
        return {name: self.get_parameter(name) for name in (*names, *(["tone"] if self.corrects else []))}

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W). With looks, flat frames stay as they are: see ``painter.fading``."""
        planes = x.shape[1] - self.conditions
        shares, stroke = read_conditions(x[:, planes:], self.looks)
        frame = x[:, :planes]
        y = (frame + 1) / 2
        for layer in self.down:
            y = F.relu(layer(y), inplace=True)
        for part in (*self.blocks, *self.up):
            y = part(y, shares, stroke)
        picture = torch.tanh(self.head(y, shares, stroke, activate=False) / 2)  # from −1 to 1, as 2 sigmoid(y) − 1
        if self.corrects:
            # In full precision: sums over a frame leave fp16's range, and variances lose bf16's digits.
            full = with_tone(picture.float(), (shares @ self.tone).float())
            picture = without_rims(frame.float(), full).to(picture.dtype)
        return fading(frame, picture) if self.looks else picture


def with_tone(picture: Tensor, tone: Tensor) -> Tensor:
    """Map the colours of pictures (N, 3, H, W) in [−1, 1] by their tones (N, 12): a matrix's rows, then an offset."""
    matrix, offset = tone[:, :9].reshape(-1, 3, 3), tone[:, 9:, None]
    mapped: Tensor = (matrix @ picture.flatten(2) + offset).reshape(picture.shape)
    return mapped


def without_rims(frame: Tensor, picture: Tensor) -> Tensor:
    """Return a network's picture without the bright rims beside the frame's edges; all (N, 3, H, W) in [-1, 1].

    A guided filter (He et al., ECCV 2010) separates the picture's smooth part from its strokes. Beside edges of the
    frame, where the smooth part is brighter than the mean of all pixels of the same frame colour, it is set to that
    mean. H and W are multiples of 4.
    """
    source, look = F.avg_pool2d(frame, STRIDE), F.avg_pool2d(picture, STRIDE)
    luma = _luma(source)
    variance = _variance(luma, REACH)
    beside_edge = variance / (variance + EDGE)
    change = torch.zeros_like(look)
    for _ in range(PASSES):
        slope, offset = _local_fit(luma, look - change, RADIUS, SMOOTH)
        base = _box(slope, RADIUS) * luma + _box(offset, RADIUS)
        excess = base - _by_colour(source, base)
        excess = excess - _box(excess, WIDE)
        bright = _luma(excess)
        change = change + F.relu(bright) / (bright.abs() + DARK) * beside_edge * excess
    # At full size the change follows the frame's own edges.
    slope, offset = (_enlarged(x) for x in _local_fit(luma, change, 2, SMOOTH))
    return (picture - slope * _luma(frame) - offset).clamp(-1, 1)


def _luma(picture: Tensor) -> Tensor:
    red, green, blue = (picture[:, n : n + 1] * weight for n, weight in enumerate(LUMA))
    return red + green + blue


def _box(x: Tensor, radius: int) -> Tensor:
    """Return the means over squares of 2 radius + 1 cells, with the border repeated."""
    return F.avg_pool2d(F.pad(x, (radius,) * 4, mode="replicate"), 2 * radius + 1, 1)


def _variance(x: Tensor, radius: int) -> Tensor:
    return F.relu(_box(x * x, radius) - _box(x, radius) ** 2)


def _local_fit(guide: Tensor, x: Tensor, radius: int, smooth: float) -> tuple[Tensor, Tensor]:
    """Return slope and offset of x (N, C, h, w) as a function of the guide (N, 1, h, w) in each square."""
    mean, mean_x = _box(guide, radius), _box(x, radius)
    slope = (_box(guide * x, radius) - mean * mean_x) / (_variance(guide, radius) + smooth)
    return slope, mean_x - slope * mean


def _by_colour(colours: Tensor, values: Tensor) -> Tensor:
    """Return for each cell the mean of ``values`` over all cells of its colour; (N, 3, h, w) both.

    Means lie in a lattice of colours, between whose points they are interpolated.
    """
    levels = torch.arange(LEVELS, device=colours.device, dtype=colours.dtype).view(1, LEVELS, 1)
    places = (colours.flatten(2) + 1) * ((LEVELS - 1) / 2)
    red, green, blue = (F.relu(1 - (places[:, n : n + 1] - levels).abs()) for n in range(3))
    weights = (red[:, :, None, None] * green[:, None, :, None] * blue[:, None, None, :]).flatten(1, 3)
    flat = values.flatten(2)
    sums = weights @ flat.transpose(1, 2)
    means = sums / (weights.sum(2, keepdim=True) + 1e-3)
    return (means.transpose(1, 2) @ weights).reshape(values.shape)


def _enlarged(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=STRIDE, mode="bilinear", align_corners=False)


def is_narrower(table: Table, other: Table) -> bool:
    """Return whether a generator with settings ``other`` has the looks of one with ``table``, and no more channels.

    Corrections change no weights besides the tone.
    """
    return other["channels"] <= table["channels"] and other["looks"] == table["looks"]


@torch.no_grad()
def load_narrower(generator: PredictedStyle, state: Mapping[str, Tensor]) -> None:
    """Load a narrower generator's ``state`` dict into ``generator``, which then gives its output.

    None of the narrower one's channels depends on the others, which keep their weights (Chen et al., "Net2Net", ICLR
    2016).
    """
    for name, own in generator.state_dict().items():
        if (given := state.get(name)) is None:  # the tone of one that corrects nothing
            continue
        part = own[tuple(slice(length) for length in given.shape)]
        if own.dim() == 4:
            own[: len(given)] = 0
        part.copy_(given)
