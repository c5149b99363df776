"""A style transfer network whose norms another network predicts from a picture: any picture's look, without training.

Ghiasi et al., "Exploring the structure of a real-time, arbitrary neural artistic stylization network", BMVC 2017, as
Magenta distilled it for phones. The predicted norms are weights of this network, for each of its looks. Two things
differ, so that strokes move with what they paint (Zhang, "Making convolutional networks shift-invariant again", ICML
2019): a blur before each stride, and bilinear instead of nearest upsampling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.settings import Table, setting
from vidtrans.networks.composed_convolutions import BlurredConv, TiledConv
from vidtrans.networks.layers import ReflectPad
from vidtrans.networks.painter import KERNEL, Block, Layer, condition_channels, fading, read_conditions

CHANNELS = 8  # at full size, of the network whose norms are predicted
NORMS = ("scale", "shift", "stroke_scale", "stroke_shift")  # of a layer
BLOCKS = 5
NORMED = (
    *(f"blocks.{n}.{half}" for n in range(BLOCKS) for half in ("first", "second")),
    "up.0",
    "up.1",
    "head",
)  # layers


@dataclass(frozen=True)
class PredictedStyleSettings:
    """Settings of ``PredictedStyle``: the number of looks, and the width."""

    looks: int = setting(
        0,
        "number of looks; above 0 the input ends with the stroke size, and with several looks also their weights",
        low=0,
        high=32,
    )
    channels: int = setting(
        2 * CHANNELS,
        "channels at full size; 2 and 4 times as many further in; the look at once, with which it begins, has 8",
        low=CHANNELS,
        high=128,
    )


class PredictedStyle(nn.Module):
    """Generator c9s1-8, d16, d32 without norms, R32×5, u16, u8, c9s1-3; norms by look, and a sigmoid at the end."""

    Settings = PredictedStyleSettings
    multiple = 8
    smallest = 16

    def __init__(self, in_channels: int, out_channels: int, settings: PredictedStyleSettings) -> None:
        super().__init__()
        self.looks, self.conditions = settings.looks, condition_channels(settings.looks)
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

    def norms(self) -> dict[str, nn.Parameter]:
        """Return the norms' parameters, (looks, channels) each, by name."""
        names = [f"{layer}.norm.{part}" for layer in NORMED for part in NORMS]
        return {name: self.get_parameter(name) for name in names}

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
        return fading(frame, picture) if self.looks else picture


def is_narrower(table: Table, other: Table) -> bool:
    """Return whether a generator with settings ``other`` differs from one with ``table`` only by fewer channels."""
    return other["channels"] < table["channels"] and {**other, "channels": table["channels"]} == table


@torch.no_grad()
def load_narrower(generator: PredictedStyle, state: Mapping[str, Tensor]) -> None:
    """Load a narrower generator's ``state`` dict into ``generator``, which then gives its output.

    None of the narrower one's channels depends on the others, which keep their weights (Chen et al., "Net2Net", ICLR
    2016).
    """
    for name, own in generator.state_dict().items():
        given = state[name]
        part = own[tuple(slice(length) for length in given.shape)]
        if own.dim() == 4:
            own[: len(given)] = 0
        part.copy_(given)
