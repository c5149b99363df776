"""Replacements of layers that all exporters and old versions of torch support, with the same weights and results."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from vidtrans.networks.adapted import LUMINANCE, AdaptedGenerator
from vidtrans.networks.colour_map import ColourMap, shaped
from vidtrans.networks.composed_convolutions import BlurredConv, DoublingConv, TiledConv, plain
from vidtrans.networks.layers import Attention, ReflectPad
from vidtrans.networks.painter import ConditionalNorm, affine
from vidtrans.networks.warp_mix import SingleNorm


class _PlainReflectPad(nn.Module):
    """``ReflectPad`` without its fallback for pictures that are too small to be mirrored."""

    def __init__(self, padding: ReflectPad) -> None:
        super().__init__()
        self.width = padding.width

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (self.width,) * 4, mode="reflect")


class _PlainAttention(nn.Module):
    """``Attention`` by matrix products: torch before 2.0 has no ``scaled_dot_product_attention``."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.inner, self.outer, self.gate = attention.inner, attention.outer, attention.gate

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.inner(x).flatten(2).chunk(3, dim=1)
        seen = torch.softmax(query.transpose(1, 2) @ key, dim=-1)
        attended = (value @ seen.transpose(1, 2)).reshape(x.shape[0], value.shape[1], x.shape[2], x.shape[3])
        result: Tensor = x + self.gate * self.outer(attended)
        return result


class _PlainColourMap(nn.Module):
    """``ColourMap`` by explicit trilinear interpolation, because ONNX before opset 20 cannot sample a 3D grid."""

    def __init__(self, grade: ColourMap) -> None:
        super().__init__()
        self.multiple = grade.multiple
        self.size = grade.nodes.shape[-1]
        self.colours: Tensor
        self.register_buffer("colours", grade.nodes.detach().flatten(1).clone())
        self.shaper: Tensor | None
        self.register_buffer("shaper", None if grade.shaper is None else grade.shaper.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] < 3:
            x = x[:, :1].expand(-1, 3, -1, -1)
        x = x[:, -3:] if self.shaper is None else shaped(x[:, -3:], self.shaper)
        place = (((x + 1) / 2).clamp(0, 1) * (self.size - 1)).float()
        below = place.floor().clamp(max=self.size - 2)
        share, node = place - below, below.long()
        total: Tensor | None = None
        for corner in range(8):
            steps = [corner >> axis & 1 for axis in range(3)]  # of red, green and blue
            weights = [share[:, c] if step else 1 - share[:, c] for c, step in enumerate(steps)]
            red, green, blue = (node[:, c] + step for c, step in enumerate(steps))
            number = ((blue * self.size + green) * self.size + red).unsqueeze(1)
            colour = torch.cat([self._channel(c, number) for c in range(3)], 1)
            part = colour * (weights[0] * weights[1] * weights[2]).unsqueeze(1)
            total = part if total is None else total + part
        assert total is not None
        return total * 2 - 1

    def _channel(self, channel: int, number: Tensor) -> Tensor:
        return self.colours[channel].index_select(0, number.reshape(-1)).reshape(number.shape)


class _PlainAdapted(nn.Module):
    """``AdaptedGenerator`` with scales and shifts as buffers, because a trace fixes the device of other tensors."""

    luminance: Tensor
    in_scale: Tensor
    in_shift: Tensor
    out_scale: Tensor
    out_shift: Tensor

    def __init__(self, adapted: AdaptedGenerator) -> None:
        super().__init__()
        self.network, self.ports = adapted.network, adapted.ports
        self.multiple, self.smallest = adapted.multiple, adapted.smallest
        ports = adapted.ports
        columns = {
            "luminance": LUMINANCE,
            "in_scale": ports.in_scale,
            "in_shift": ports.in_shift,
            "out_scale": ports.out_scale,
            "out_shift": ports.out_shift,
        }
        for name, values in columns.items():
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        wanted = self.ports.in_channels
        if x.shape[1] == 3 and wanted == 1:
            x = (x * self.luminance).sum(1, keepdim=True)
        elif x.shape[1] == 1 and wanted > 1:
            x = x.expand(-1, wanted, -1, -1)
        if self.ports.bgr and wanted == 3:
            x = torch.cat([x[:, c : c + 1] for c in (2, 1, 0)], 1)
        if self.ports.invert:
            x = -x
        y = self.network(x * self.in_scale + self.in_shift)[:, :3] * self.out_scale + self.out_shift
        if self.ports.out_channels == 1:
            return y.expand(-1, 3, -1, -1)
        return torch.cat([y[:, c : c + 1] for c in (2, 1, 0)], 1) if self.ports.bgr else y


class _PlainConditionalNorm(nn.Module):
    """``ConditionalNorm`` by an instance norm, whose statistics all exporters compute from the picture."""

    def __init__(self, norm: ConditionalNorm) -> None:
        super().__init__()
        self.norm, self.scale, self.shift = norm.norm, norm.scale, norm.shift
        self.stroke_scale, self.stroke_shift = norm.stroke_scale, norm.stroke_shift

    def forward(self, x: Tensor, shares: Tensor, stroke: Tensor) -> Tensor:
        scale, shift = affine(self, shares, stroke)
        normed: Tensor = self.norm(x)
        return normed * scale[..., None, None] + shift[..., None, None]


def _plain_norm(norm: SingleNorm) -> nn.Module:
    made = nn.InstanceNorm2d(norm.num_features, norm.eps, affine=True)
    made.weight, made.bias = norm.weight, norm.bias
    return made


PLAIN: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    ReflectPad: _PlainReflectPad,
    Attention: _PlainAttention,
    ColourMap: _PlainColourMap,
    AdaptedGenerator: _PlainAdapted,
    SingleNorm: _plain_norm,
    ConditionalNorm: _PlainConditionalNorm,
    TiledConv: plain,
    BlurredConv: plain,
    DoublingConv: plain,
}


def exportable(generator: nn.Module) -> nn.Module:
    """Return a copy of a generator in eval mode whose layers can be exported; results are equal within rounding.

    Input sides must be at least ``smallest_side``. Spectral norms are merged into the weights.
    """
    made = _plain(copy.deepcopy(generator).eval())
    for parent in list(made.modules()):
        for name, child in parent.named_children():
            setattr(parent, name, _plain(child))
    return made


def _plain(module: Any) -> nn.Module:  # noqa: ANN401  (a layer)
    if type(module) in PLAIN:
        return PLAIN[type(module)](module)
    if isinstance(module, nn.Conv2d) and parametrize.is_parametrized(module, "weight"):
        # Not ``remove_parametrizations``: it changes the class, which the generator itself shares.
        settings = module.kernel_size, module.stride, module.padding, module.dilation, module.groups
        made = nn.Conv2d(module.in_channels, module.out_channels, *settings, bias=module.bias is not None)  # type: ignore[arg-type]
        made.weight, made.bias = nn.Parameter(module.weight.detach(), requires_grad=False), module.bias
        return made
    return module


@torch.no_grad()
def smallest_side(generator: Any, channels: int) -> int:  # noqa: ANN401  (a generator)
    """Return the first side in pixels, by doubling, at which no ``ReflectPad`` of a generator needs its fallback."""
    paddings = [m for m in generator.modules() if isinstance(m, ReflectPad)]
    side, small = int(generator.multiple), []
    if any(isinstance(m, nn.InstanceNorm2d) for m in generator.modules()):
        side = max(side, int(generator.smallest))  # torch refuses an instance norm over a single value

    def note(padding: nn.Module, given: tuple[Tensor, ...]) -> None:
        if isinstance(padding, ReflectPad) and min(given[0].shape[-2:]) <= padding.width:
            small.append(padding)

    hooks = [padding.register_forward_pre_hook(note) for padding in paddings]
    try:
        while True:
            small.clear()
            generator(torch.zeros(1, channels, side, side))
            if not small:
                return side
            side *= 2
    finally:
        for hook in hooks:
            hook.remove()
