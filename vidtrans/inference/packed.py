"""Convolutions for rendering on a CPU: weights in oneDNN's own layout, fused with the activation.

Eager torch reorders a convolution's weights at every call; for a U-Net of 54 million weights and one picture of 256×256
that is half of the time. torch.compile does the same after 17 seconds; its result is as fast.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from vidtrans.inference.device import Device, Precision

# oneDNN's names of the activations.
ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
}
OPERATORS = (
    "_convolution_pointwise",
    "_reorder_convolution_weight",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_transpose_weight",
)


def can_pack(device: Device, precision: Precision) -> bool:
    """Return whether ``pack`` works: on a CPU, if this torch has oneDNN's operators for the precision."""
    if device.kind != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    here = all(hasattr(torch.ops.mkldnn, name) for name in OPERATORS)
    return here and (precision == "fp32" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))


class PackedConvolution(nn.Module):
    """A convolution, transposed or not, fused with its activation. Weights are packed for the last input shape.

    Not thread-safe.
    """

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, activation: nn.Module | None) -> None:
        super().__init__()
        self.weight: Tensor
        self.register_buffer("weight", conv.weight.detach(), persistent=False)
        self.bias = conv.bias
        name = "none" if activation is None else ACTIVATIONS[type(activation)]
        slope = [activation.negative_slope] if isinstance(activation, nn.LeakyReLU) else []
        self._activation = (name, slope, "")
        steps = (list(conv.stride), list(conv.dilation), conv.groups)
        if isinstance(conv, nn.ConvTranspose2d):
            self._geometry: tuple[Any, ...] = (list(conv.padding), list(conv.output_padding), *steps)
            self._reorder = torch.ops.mkldnn._reorder_convolution_transpose_weight
            self._run = torch.ops.mkldnn._convolution_transpose_pointwise
        else:
            self._geometry = (list(conv.padding), *steps)
            self._reorder = torch.ops.mkldnn._reorder_convolution_weight
            self._run = torch.ops.mkldnn._convolution_pointwise
        self._shape: torch.Size | None = None
        self._laid_out = self.weight

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W), and apply the activation."""
        if x.shape != self._shape:
            self._laid_out = self._reorder(self.weight, *self._geometry, list(x.shape))
            self._laid_out.plain = self.weight  # for plain_weight
            self._shape = x.shape
        made: Tensor = self._run(x, self._laid_out, self.bias, *self._geometry, *self._activation)
        return made


def plain_weight(laid_out: Tensor) -> Tensor:
    """Return a ``PackedConvolution``'s weight in torch's layout, given the packed tensor ``laid_out``."""
    plain: Tensor = getattr(laid_out, "plain", laid_out)
    return plain


def pack(network: nn.Module) -> nn.Module:
    """Replace every convolution by ``PackedConvolution``, in place, fused with a following activation in a Sequential.

    The network must be in eval mode, with its weights in their final precision.
    """
    for module in list(network.modules()):
        children = [(n, child) for n, child in module._modules.items() if not isinstance(child, nn.Identity)]
        for (name, child), (name_behind, behind) in pairwise([*children, ("", nn.Identity())]):
            if not isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
                continue
            if child.padding_mode != "zeros" or isinstance(child.padding, str):
                continue
            fused = isinstance(module, nn.Sequential) and type(behind) in ACTIVATIONS
            module._modules[name] = PackedConvolution(child, behind if fused else None)
            if fused:
                module._modules[name_behind] = nn.Identity()
    return network
