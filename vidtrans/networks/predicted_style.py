"""A style transfer network whose norms another network predicts from a picture, so that a style needs no training.

Ghiasi et al., "Exploring the structure of a real-time, arbitrary neural artistic stylization network", BMVC 2017, in
the version that Magenta distilled for phones. The predicted norms are weights of this network, for each of its styles.
Two changes make strokes follow the motion (Zhang, "Making convolutional networks shift-invariant again", ICML 2019): a
blur before each stride, and bilinear instead of nearest upsampling. A network that was not trained on a clip corrects
its output: a grey style has no coloured fringes (``apply_tone``), and edges have no bright halos (``remove_halos``).
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
from vidtrans.networks.painter import KERNEL, Block, Layer, condition_channels, fade_flat_frames, read_conditions
from vidtrans.perception.measure import LUMA

CHANNELS = 16  # Number of channels at full size of the network whose norms are predicted.
NORMS = ("scale", "shift", "stroke_scale", "stroke_shift")  # Names of the parameters of a layer's norm.
NUM_BLOCKS = 5  # Number of residual blocks.
CELL_PX = 4  # Side of the square cells in which halos are detected, in pixels.
# Radii in cells: of the guided filter, of the search for an edge near a halo, and of a halo's surroundings.
FILTER_RADIUS, EDGE_RADIUS, WIDE_RADIUS = 3, 8, 30
NUM_PASSES = 2  # Number of passes of the halo removal; each pass removes half of a halo.
LATTICE_LEVELS = 4  # Number of levels per channel in the colour lattice of ``mean_by_colour``.
# Variances of the frame's luma in [−1, 1]: in a smooth area, and at an edge.
SMOOTH_VARIANCE, EDGE_VARIANCE = 0.04**2, 0.12**2
MIN_HALO_LUMA = 0.02  # Luma difference, for luma in [−1, 1], at which a halo is corrected by half.
# Names of the layers whose norms are predicted
NORMED_LAYERS = (
    *(f"blocks.{n}.{half}" for n in range(NUM_BLOCKS) for half in ("first", "second")),
    "up.0",
    "up.1",
    "head",
)


@dataclass(frozen=True)
class PredictedStyleSettings:
    """Settings of ``PredictedStyle``: the number of styles, and the width."""

    looks: int = option(
        0,
        "number of looks; above 0, extra input channels contain the stroke size and, with several looks, their weights",
        bounds=(0, 32),
    )
    corrects: bool = option(False, "keep the colours of grey styles grey, and remove bright rims along edges")
    channels: int = option(
        CHANNELS,
        "channels at full size; inner layers have 2 and 4 times as many; the default fits the bundled network "
        "for looks without training",
        bounds=(CHANNELS, 128),
    )


class PredictedStyle(nn.Module):
    """The generator c9s1-8, d16, d32 without norms, R32×5, u16, u8, c9s1-3; one norm per style, and a final sigmoid."""

    Settings = PredictedStyleSettings
    multiple = 8
    smallest = 16

    def __init__(self, in_channels: int, out_channels: int, settings: PredictedStyleSettings) -> None:
        super().__init__()
        self.looks, self.conditions = settings.looks, condition_channels(settings.looks)
        if settings.corrects:
            # A 3×3 matrix and an offset that change no colour. It is no constant of the module, because a model file
            # that is loaded imports the module on the device "meta", where tensors have no values; there torch.eye()
            # imports torch's compiler, which takes longer than a picture.
            identity = [*(float(n % 4 == 0) for n in range(9)), 0.0, 0.0, 0.0]
            self.tone = nn.Parameter(torch.tensor([identity] * max(settings.looks, 1)))
        self.corrects = settings.corrects
        looks, (first, second, third) = settings.looks, (settings.channels * 2**n for n in range(3))
        self.down = nn.ModuleList(
            (
                nn.Sequential(ReflectPad(KERNEL // 2), TiledConv(in_channels - self.conditions, first, KERNEL)),
                nn.Sequential(ReflectPad(2), BlurredConv(first, second)),
                nn.Sequential(ReflectPad(2), BlurredConv(second, third)),
            )
        )
        self.blocks = nn.ModuleList(Block(third, looks) for _ in range(NUM_BLOCKS))
        self.up = nn.ModuleList(Layer(a, b, looks, larger="bilinear") for a, b in ((third, second), (second, first)))
        self.head = Layer(first, out_channels, looks, KERNEL)

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw weights that preserve the activations' scale, as three layers have no norm (He et al., ICCV 2015)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def styles(self) -> dict[str, nn.Parameter]:
        """Return the parameters that depend on the style, (looks, numbers) each, by name: the norms, and the tone."""
        names = [f"{layer}.norm.{part}" for layer in NORMED_LAYERS for part in NORMS]
        return {name: self.get_parameter(name) for name in (*names, *(["tone"] if self.corrects else []))}

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W). With styles, low-contrast frames stay visible, see ``fade_flat_frames``."""
        planes = x.shape[1] - self.conditions
        shares, stroke = read_conditions(x[:, planes:], self.looks)
        frame = x[:, :planes]
        y = (frame + 1) / 2
        for layer in self.down:
            y = F.relu(layer(y), inplace=True)
        for part in (*self.blocks, *self.up):
            y = part(y, shares, stroke)
        picture = torch.tanh(self.head(y, shares, stroke, activate=False) / 2)  # Equal to 2 sigmoid(y) − 1, in [−1, 1]
        if self.corrects:
            # Use fp32: sums over a frame exceed the range of fp16, and variances need more digits than bf16 has.
            full = apply_tone(picture.float(), (shares @ self.tone).float())
            picture = remove_halos(frame.float(), full).to(picture.dtype)
        return fade_flat_frames(frame, picture) if self.looks else picture


def apply_tone(picture: Tensor, tone: Tensor) -> Tensor:
    """Map the colours of pictures (N, 3, H, W) in [−1, 1] by tones (N, 12): a 3×3 matrix by rows, then an offset."""
    matrix, offset = tone[:, :9].reshape(-1, 3, 3), tone[:, 9:, None]
    mapped: Tensor = (matrix @ picture.flatten(2) + offset).reshape(picture.shape)
    return mapped


def remove_halos(frame: Tensor, picture: Tensor) -> Tensor:
    """Return the network's picture without bright halos at edges of the frame; all (N, 3, H, W) in [−1, 1].

    A guided filter (He et al., ECCV 2010) separates the smooth part of the picture from its strokes. Where the smooth
    part near an edge of the frame is brighter than the mean of all pixels of the same frame colour, it is set to that
    mean. H and W are multiples of 4.
    """
    source, look = F.avg_pool2d(frame, CELL_PX), F.avg_pool2d(picture, CELL_PX)
    luma = _luma(source)
    variance = _variance(luma, EDGE_RADIUS)
    beside_edge = variance / (variance + EDGE_VARIANCE)
    change = torch.zeros_like(look)
    for _ in range(NUM_PASSES):
        slope, offset = _local_fit(luma, look - change, FILTER_RADIUS, SMOOTH_VARIANCE)
        base = box_means(slope, FILTER_RADIUS) * luma + box_means(offset, FILTER_RADIUS)
        excess = base - mean_by_colour(source, base)
        excess = excess - box_means(excess, WIDE_RADIUS)
        bright = _luma(excess)
        change = change + F.relu(bright) / (bright.abs() + MIN_HALO_LUMA) * beside_edge * excess
    # Apply the change at full size so that it follows the edges of the frame.
    fit = _local_fit(luma, change, 2, SMOOTH_VARIANCE)
    slope, offset = (F.interpolate(x, scale_factor=CELL_PX, mode="bilinear", align_corners=False) for x in fit)
    return (picture - slope * _luma(frame) - offset).clamp(-1, 1)


def _luma(picture: Tensor) -> Tensor:
    """Return the luma (N, 1, H, W) of pictures (N, 3, H, W)."""
    red, green, blue = (picture[:, n : n + 1] * weight for n, weight in enumerate(LUMA))
    return red + green + blue


def box_means(x: Tensor, radius: int) -> Tensor:
    """Return the means over squares of 2 · radius + 1 cells per side; the border is repeated."""
    side = 2 * radius + 1
    if not x.is_cpu:  # Running sums are not deterministic on CUDA
        along = F.avg_pool2d(F.pad(x, (radius,) * 4, mode="replicate"), (1, side), 1)
        return F.avg_pool2d(along, (side, 1), 1)
    # Running sums, whose time does not depend on the radius: average pooling takes ten times as long
    sums = F.pad(x, (radius + 1, radius) * 2, mode="replicate").cumsum(3)
    sums = (sums[..., side:] - sums[..., :-side]).cumsum(2)
    return (sums[:, :, side:] - sums[:, :, :-side]) / side**2


def _variance(x: Tensor, radius: int) -> Tensor:
    """Return the variances over squares of 2 · radius + 1 cells per side."""
    return F.relu(box_means(x * x, radius) - box_means(x, radius) ** 2)


def _local_fit(guide: Tensor, x: Tensor, radius: int, smooth: float) -> tuple[Tensor, Tensor]:
    """Fit ``x`` (N, C, h, w) as slope · ``guide`` + offset in a square around each cell; return slope and offset.

    ``guide``: (N, 1, h, w). ``radius``: half the square's side, in cells. ``smooth``: the variance of the guide below
    which the slope is small, as in a guided filter.
    """
    mean, mean_x = box_means(guide, radius), box_means(x, radius)
    slope = (box_means(guide * x, radius) - mean * mean_x) / (_variance(guide, radius) + smooth)
    return slope, mean_x - slope * mean


def mean_by_colour(colours: Tensor, values: Tensor) -> Tensor:
    """Return for each cell the mean of ``values`` over all cells of the same colour; all (N, 3, h, w).

    Means are computed at the points of a colour lattice, and interpolated between these points.
    """
    levels = torch.arange(LATTICE_LEVELS, device=colours.device, dtype=colours.dtype).view(1, LATTICE_LEVELS, 1)
    places = (colours.flatten(2) + 1) * ((LATTICE_LEVELS - 1) / 2)
    red, green, blue = (F.relu(1 - (places[:, n : n + 1] - levels).abs()) for n in range(3))
    weights = (red[:, :, None, None] * green[:, None, :, None] * blue[:, None, None, :]).flatten(1, 3)
    flat = values.flatten(2)
    sums = weights @ flat.transpose(1, 2)
    means = sums / (weights.sum(2, keepdim=True) + 1e-3)
    return (means.transpose(1, 2) @ weights).reshape(values.shape)


def is_narrower(table: Table, other: Table) -> bool:
    """Return whether settings ``other`` have as many styles as ``table``, and no more channels.

    The setting ``corrects`` may differ: it adds no weights except the tone.
    """
    return other["channels"] <= table["channels"] and other["looks"] == table["looks"]


@torch.no_grad()
def load_narrower(generator: PredictedStyle, state: Mapping[str, Tensor]) -> None:
    """Load the weights ``state`` of a narrower generator into ``generator``, which then has the same output.

    The loaded channels do not depend on the additional channels, which keep their weights (Chen et al., "Net2Net", ICLR
    2016).
    """
    for name, target in generator.state_dict().items():
        if (loaded := state.get(name)) is None:  # A network without corrections has no tone
            continue
        part = target[tuple(slice(length) for length in loaded.shape)]
        if target.dim() == 4:
            target[: len(loaded)] = 0
        part.copy_(loaded)
