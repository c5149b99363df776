"""Layers of the networks: norms, convolutions, upsampling, residual blocks, gradient checkpointing.

Functions return layers as lists, to be joined in one ``nn.Sequential``: there a BatchNorm that directly follows its
convolution is folded into it for rendering.
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

from vidtrans.core.options import option
from vidtrans.networks.convolutions import MatmulConvTranspose


def norm_setting(default: str) -> Any:  # noqa: ANN401  (a dataclass field)
    """Return the field for a setting ``norm``, see ``normalise``; ``default``: the norm in the network's paper."""
    return option(
        default,
        "Normalisation. With batch, learned statistics keep the brightness steady in video. With instance, "
        "each picture has its own statistics. Train instance on whole pictures: brightness can vary between "
        "frames, and crops teach no colours. The value picture is batch norm with the statistics of each "
        "picture. The value plain-instance has no scale and shift.",
        choices=("batch", "instance", "none", "picture", "plain-instance"),
    )


def upsample_setting() -> Any:  # noqa: ANN401  (a dataclass field)
    """Return the field for a setting ``upsample``, see ``upsampling``; the papers use transposed convolutions."""
    return option(
        "transposed",
        "Upsampling to double size. Transposed convolution (transposed) can show a grid. The values resize "
        "(nearest) and bilinear resize before a convolution: no grid, but softer and slower. The value "
        "pixel-shuffle rearranges channels.",
        choices=("transposed", "resize", "bilinear", "pixel-shuffle"),
    )


def checkpointing_setting() -> Any:  # noqa: ANN401  (a dataclass field)
    """Return the field for a setting ``grad_checkpointing``, see ``run_stages``."""
    return option(
        False, "gradient checkpointing: recompute activations in training, which takes less memory and more time"
    )


def normalise(channels: int, norm: str) -> list[nn.Module]:
    """Return the layers of a norm of type ``norm`` for this number of channels; [] for 'none'."""
    if norm == "none":
        return []
    if norm == "batch":
        return [nn.BatchNorm2d(channels)]
    return [PictureNorm(channels) if norm == "picture" else nn.InstanceNorm2d(channels, affine=norm == "instance")]


def norm_each_picture(x: Tensor, affine: Iterable[tuple[Tensor | None, Tensor | None]], eps: float) -> Tensor:
    """Return pictures (N, C, H, W), each normalised by its own statistics; ``affine``: scale and shift (C,) each.

    Each picture is normalised by a batch norm: on a CPU an instance norm would copy all pictures to a channels-first
    layout.
    """
    pictures = zip(x.split(1), affine, strict=False)
    normed = [F.batch_norm(one, None, None, scale, shift, True, 0.0, eps) for one, (scale, shift) in pictures]
    return normed[0] if len(normed) == 1 else torch.cat(normed)


class PictureNorm(nn.InstanceNorm2d):
    """A batch norm with the statistics of each picture, as the authors of pix2pix render (batch size 1, training mode).

    The parameters and running statistics are those of a batch norm under the same names, so state dicts are
    interchangeable. For a single pixel the output is the shift.
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
    """Return whether a convolution before a norm of type ``norm`` has a bias: for 'none' and 'plain-instance'."""
    return norm in ("none", "plain-instance")


class ReflectPad(nn.Module):
    """Padding by ``width`` mirrored pixels per side; a picture too small for that gets its border repeated."""

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
    """Return ``F.pad(x, …, mode="reflect")``, (N, C, H + 2·width, W + 2·width), by concatenating flipped borders.

    The gradients are deterministic on CUDA, unlike those of torch's reflection padding.
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
    """Return the layers convolution, norm and, if ``activate``, ReLU, for (N, inputs, H, W) → (N, outputs, h, w).

    The sides h and w are H and W divided by ``stride``: the padding is by zeros, or by mirroring if ``mirror``.
    ``bias``: the convolution has a bias whatever the norm.
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
    """Return layers that double the size; ``how``: 'transposed', 'resize', 'bilinear' or 'pixel-shuffle'.

    The layers map (N, inputs, h, w) to (N, outputs, 2h, 2w). 'resize' repeats pixels, then convolves. ``kernel``: side
    of a transposed convolution's kernel. A transposed kernel covers its output unevenly, which shows as a checkerboard
    (Odena et al., "Deconvolution and Checkerboard Artifacts", 2016); pixel shuffle is from Shi et al. (CVPR 2016).
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
    """Squeeze and excitation (Hu et al., CVPR 2018): weights channels by their means over the whole picture."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        """Create the layer; ``reduction``: number of channels divided by the number of inner channels."""
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
    """Self-attention of SAGAN (Zhang et al., ICML 2019): x + γ·o with γ initially 0, and C/8 inner channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 8)
        self.inner = nn.Conv2d(channels, 3 * inner, 1, bias=False)  # f, g and h of the paper in one convolution
        self.outer = nn.Conv2d(inner, channels, 1, bias=False)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        size = x.shape[-2:]
        query, key, value = self.inner(x).flatten(2).transpose(1, 2).chunk(3, dim=2)
        # This function never allocates the (h·w)² attention matrix. Scale 1, as the paper does not scale products.
        attention = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        attended: Tensor = x + self.gate * self.outer(attention.transpose(1, 2).unflatten(2, size))
        return attended


class ResidualBlock(nn.Module):
    """A residual block, x + branch(x), of two 3×3 convolutions with mirror padding, after Johnson et al. (2016).

    There is no ReLU after the sum. ``squeeze``: the branch ends with ``SqueezeExcitation``.
    Only the first convolution is dilated; the second fills the gaps of its sampling grid.
    """

    def __init__(
        self, channels: int, *, norm: str, dilation: int = 1, squeeze: bool = False, bias: bool = False
    ) -> None:
        """Create a block; ``squeeze``: the branch ends with squeeze and excitation."""
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
    """Spectral norm: a weight divided by its largest singular value, by power iteration (Miyato et al., ICLR 2018).

    A torch parametrisation. It runs one iteration at every use in training mode, none in eval mode.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.left: Tensor
        self.right: Tensor
        self.register_buffer("left", torch.ones(weight.shape[0]))
        self.register_buffer("right", torch.ones(weight[0].numel()))

    def restart(self, weight: Tensor) -> None:
        """Restart the power iteration for a new weight, from a constant vector, so that no random seed is needed."""
        nn.init.ones_(self.left)
        self._iterate(weight, times=5)

    @torch.no_grad()
    def _iterate(self, weight: Tensor, times: int = 1) -> None:
        """Improve the singular vectors ``left`` and ``right`` of a weight by this number of iterations."""
        matrix, left = weight.float().flatten(1), self.left.float()
        for _ in range(times):
            right = F.normalize(matrix.T @ left, dim=0)
            left = F.normalize(matrix @ right, dim=0)
            self.right.copy_(right)
            self.left.copy_(left)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight divided by its largest singular value."""
        kind = weight.device.type
        with nullcontext() if kind == "meta" else torch.autocast(kind, enabled=False):
            if self.training:
                self._iterate(weight)
            # Copy the buffers, because they change before the backward pass.
            left, right = (v.to(torch.float32, copy=True) for v in (self.left, self.right))
            return weight / torch.dot(left, weight.float().flatten(1) @ right).to(weight.dtype)


def spectral(conv: nn.Conv2d, enabled: bool = True) -> nn.Conv2d:
    """Return ``conv``, with spectral norm if ``enabled``.

    Do not use a spectral norm before a BatchNorm in a generator: the BatchNorm could not be folded for rendering.
    """
    if enabled:
        parametrize.register_parametrization(conv, "weight", SpectralNorm(conv.weight))
    return conv


def run_stages(stages: Iterable[nn.Module], x: Tensor, *others: Tensor, checkpointing: bool) -> Tensor:
    """Run modules in sequence on ``x``; ``checkpointing``: activations are recomputed in the backward pass.

    Each module takes the output of the previous module and the tensors ``others``. With recomputation (Chen et al.,
    "Training Deep Nets with Sublinear Memory Cost", 2016) outputs, gradients and statistics stay the same.
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
    """Prevent a second update of running statistics and spectral norms while a stage is recomputed."""
    norms = [m for m in stage.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
    spectral_norms = [m for m in stage.modules() if isinstance(m, SpectralNorm) and m.training]
    saved_buffers = [dict(norm._buffers) for norm in norms]
    try:
        for norm in norms:
            norm._buffers.update({k: v if v is None else v.clone() for k, v in norm._buffers.items()})
        for spectral_norm in spectral_norms:
            spectral_norm.training = False
        yield
    finally:
        for norm, buffers in zip(norms, saved_buffers, strict=True):
            norm._buffers.update(buffers)
        for spectral_norm in spectral_norms:
            spectral_norm.training = True
