"""Layers of the networks: norms, convolutions, upsampling, residual blocks, gradient checkpointing.

Functions that give layers give lists, to be put into one ``nn.Sequential``: a BatchNorm that directly follows its
convolution there is folded into it when rendering.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from vidtrans.core.settings import setting
from vidtrans.networks.matmul_convolution import MatmulConvTranspose


def norm_setting(default: str) -> Any:  # noqa: ANN401  (a dataclass field)
    """Return the setting that ``normalise`` takes; the default is the paper's."""
    return setting(
        default,
        "batch: statistics learnt, steady brightness in video; instance: each picture's own, may pump; none; picture: "
        "batch, by each picture's own; plain-instance: without scale and shift",
        choices=("batch", "instance", "none", "picture", "plain-instance"),
    )


def upsample_setting() -> Any:  # noqa: ANN401  (a dataclass field)
    """Return the setting that ``upsampling`` takes; all of the papers transpose."""
    return setting(
        "transposed",
        "how sizes double: transposed convolution (may show a grid); resize (nearest) or bilinear, then convolve "
        "(no grid, softer, slower); pixel-shuffle",
        choices=("transposed", "resize", "bilinear", "pixel-shuffle"),
    )


def checkpointing_setting() -> Any:  # noqa: ANN401  (a dataclass field)
    """Return the setting that ``run_stages`` takes."""
    return setting(False, "forget what training keeps inside the layers and compute it again: less memory, slower")


def normalise(channels: int, norm: str) -> list[nn.Module]:
    """Return the norm, a list of one; for 'none' an empty list."""
    if norm == "none":
        return []
    if norm == "batch":
        return [nn.BatchNorm2d(channels)]
    return [PictureNorm(channels) if norm == "picture" else nn.InstanceNorm2d(channels, affine=norm == "instance")]


class PictureNorm(nn.InstanceNorm2d):
    """A batch norm by the statistics of each picture, as pix2pix's authors render: in training mode, one at a time.

    Its weights have the names of a batch norm's, and it keeps the statistics that one learns, so that either may take
    the other's. Of a single value its output is the shift.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True, track_running_stats=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        if x.shape[2] * x.shape[3] == 1:
            return self.bias[:, None, None].expand_as(x) if self.bias is not None else torch.zeros_like(x)
        tracked = (self.running_mean, self.running_var) if self.training else (None, None)
        return F.instance_norm(x, *tracked, self.weight, self.bias, True, self.momentum or 0.0, self.eps)


def has_bias(norm: str) -> bool:
    """Return whether a convolution before a norm has a bias: where there is none, and in plain-instance's networks."""
    return norm in ("none", "plain-instance")


class ReflectPad(nn.Module):
    """Pads each side by ``width`` mirrored pixels; a picture too small to be mirrored has its rim repeated."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H + 2·width, W + 2·width)."""
        if min(x.shape[-2:]) <= self.width:
            return F.pad(x, (self.width,) * 4, mode="replicate")
        if not x.is_cpu and torch.are_deterministic_algorithms_enabled():
            return reflect_pad(x, self.width)
        return F.pad(x, (self.width,) * 4, mode="reflect")


def reflect_pad(x: Tensor, width: int) -> Tensor:
    """Return ``F.pad(x, …, mode="reflect")``, (N, C, H + 2·width, W + 2·width), of parts of x put together.

    Its gradients add up in a fixed order. Those of torch's padding do not on CUDA, and torch has no other way there.
    """
    for side in (-1, -2):
        length = x.shape[side]
        before = x.narrow(side, 1, width).flip(side)
        after = x.narrow(side, length - 1 - width, width).flip(side)
        x = torch.cat([before, x, after], side)
    return x


def convolution(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    *,
    norm: str,
    stride: int = 1,
    dilation: int = 1,
    mirror: bool = False,
    activate: bool = True,
    bias: bool = False,
) -> list[nn.Module]:
    """Return a convolution that keeps the size (but for its stride) – norm – ReLU, padded by zeros or by mirroring.

    ``bias``: the convolution has one, whatever the norm.
    """
    padding = dilation * (kernel // 2)
    own_bias = bias or has_bias(norm)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, 0 if mirror else padding, dilation=dilation, bias=own_bias)
    return [
        *([ReflectPad(padding)] if mirror else []),
        conv,
        *normalise(outputs, norm),
        *([nn.ReLU()] if activate else []),
    ]


def upsampling(inputs: int, outputs: int, how: str, *, kernel: int = 3, bias: bool = True) -> list[nn.Module]:
    """Return layers (N, inputs, h, w) → (N, outputs, 2h, 2w). ``kernel`` is that of a transposed convolution.

    A transposed kernel covers its output unevenly, which shows as a checkerboard (Odena et al., "Deconvolution and
    Checkerboard Artifacts", 2016); pixel shuffle is Shi et al.'s (CVPR 2016).
    """
    if how == "transposed" and kernel == 4:
        return [MatmulConvTranspose(inputs, outputs, bias=bias)]
    if how == "transposed":
        return [nn.ConvTranspose2d(inputs, outputs, kernel, 2, 1, output_padding=kernel % 2, bias=bias)]
    if how == "pixel-shuffle":
        return [nn.Conv2d(inputs, 4 * outputs, 3, 1, 1, bias=bias), nn.PixelShuffle(2)]
    larger = nn.Upsample(scale_factor=2.0, mode="nearest" if how == "resize" else "bilinear")
    return [larger, nn.Conv2d(inputs, outputs, 3, 1, 1, bias=bias)]


class SqueezeExcitation(nn.Module):
    """Squeeze and excitation (Hu et al., CVPR 2018): channels weighed by what the whole picture holds."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        inner = max(4, channels // reduction)
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, inner, 1), nn.ReLU(), nn.Conv2d(inner, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        weighed: Tensor = x * self.weigh(x.mean((2, 3), keepdim=True))
        return weighed


class Attention(nn.Module):
    """Self-attention of SAGAN (Zhang et al., ICML 2019): x + γ·o, with γ = 0 at the start; C/8 channels inside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 8)
        self.inner = nn.Conv2d(channels, 3 * inner, 1, bias=False)  # the paper's f, g and h
        self.outer = nn.Conv2d(inner, channels, 1, bias=False)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        size = x.shape[-2:]
        query, key, value = self.inner(x).flatten(2).transpose(1, 2).chunk(3, dim=2)
        # Never the whole (h·w)² table at once; the paper does not scale its products.
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        attended: Tensor = x + self.gate * self.outer(seen.transpose(1, 2).unflatten(2, size))
        return attended


class ResidualBlock(nn.Module):
    """x + branch(x): two mirrored 3×3 convolutions, nothing after the sum (Johnson et al., ECCV 2016).

    Only the first is dilated: the second, dense one closes the gaps of its grid.
    """

    def __init__(
        self, channels: int, *, norm: str, dilation: int = 1, squeeze: bool = False, bias: bool = False
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *convolution(channels, channels, norm=norm, dilation=dilation, mirror=True, bias=bias),
            *convolution(channels, channels, norm=norm, mirror=True, activate=False, bias=bias),
            *([SqueezeExcitation(channels)] if squeeze else []),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        summed: Tensor = x + self.branch(x)
        return summed


class SpectralNorm(nn.Module):
    """A weight divided by its largest singular value, found by power iteration (Miyato et al., ICLR 2018).

    A parametrisation: it iterates at every use in training, and not in eval mode.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.left: Tensor
        self.right: Tensor
        self.register_buffer("left", torch.ones(weight.shape[0]))
        self.register_buffer("right", torch.ones(weight[0].numel()))

    def restart(self, weight: Tensor) -> None:
        """Forget the weights before. Nothing is drawn: the same weights have the same norm, whatever the seed."""
        nn.init.ones_(self.left)
        self._iterate(weight, times=5)

    @torch.no_grad()
    def _iterate(self, weight: Tensor, times: int = 1) -> None:
        matrix, left = weight.float().flatten(1), self.left.float()
        for _ in range(times):
            right = F.normalize(matrix.T @ left, dim=0)
            left = F.normalize(matrix @ right, dim=0)
            self.right.copy_(right)
            self.left.copy_(left)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight, divided."""
        kind = weight.device.type
        with nullcontext() if kind == "meta" else torch.autocast(kind, enabled=False):
            if self.training:
                self._iterate(weight)
            # Copies: the buffers move on before the gradients are taken.
            left, right = (v.to(torch.float32, copy=True) for v in (self.left, self.right))
            return weight / torch.dot(left, weight.float().flatten(1) @ right).to(weight.dtype)


def spectral(conv: nn.Conv2d, wanted: bool = True) -> nn.Conv2d:
    """Return ``conv``, its weight spectrally normalised if ``wanted``.

    Not for a convolution that a BatchNorm follows in a generator: it could not be folded.
    """
    if wanted:
        parametrize.register_parametrization(conv, "weight", SpectralNorm(conv.weight))
    return conv


def run_stages(stages: Iterable[nn.Module], x: Tensor, *others: Tensor, checkpointing: bool) -> Tensor:
    """Run stages one after the other; all get the ``others`` too.

    With ``checkpointing``, what their gradients need is computed again then (Chen et al., "Training Deep Nets with
    Sublinear Memory Cost", 2016); outputs, gradients and statistics stay the same.
    """
    for stage in stages:
        if checkpointing and torch.is_grad_enabled():
            contexts = lambda stage=stage: (nullcontext(), _recomputation(stage))  # noqa: E731
            x = checkpoint(stage, x, *others, use_reentrant=False, context_fn=contexts)
        else:
            x = stage(x, *others)
    return x


@contextmanager
def _recomputation(stage: nn.Module) -> Iterator[None]:
    """Keep BatchNorms from counting pictures twice, and spectral norms from iterating."""
    norms = [m for m in stage.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
    moving = [m for m in stage.modules() if isinstance(m, SpectralNorm) and m.training]
    counted = [dict(norm._buffers) for norm in norms]
    try:
        for norm in norms:
            norm._buffers.update({k: v if v is None else v.clone() for k, v in norm._buffers.items()})
        for one in moving:
            one.training = False
        yield
    finally:
        for norm, buffers in zip(norms, counted, strict=True):
            norm._buffers.update(buffers)
        for one in moving:
            one.training = True
