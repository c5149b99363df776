"""Prepare a trained network for rendering: fold norms into convolutions, and pack weights for the processor.

On a CPU torch's instance norms copy each picture to a channels-first layout. A batch norm over a single picture
computes the same sum in the channels-last layout of the convolutions: rendering in bf16 takes about a twentieth of the
time, and a translator's forward and backward pass in training two thirds. Outputs of whole networks differed by at most
two levels of 255.

Eager torch reorders a convolution's weights at every call; for a U-Net of 54 million weights and one picture of 256×256
that is half of the time, which weights in oneDNN's layout save. torch.compile does the same after 17 seconds; its
result is as fast.
"""

from __future__ import annotations

import copy
from itertools import pairwise, repeat
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from vidtrans.networks.layers import PictureNorm, norm_each_picture

# oneDNN's names of activations, by torch module.
ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
}
# Names of torch's oneDNN operators that ``PackedConvolution`` needs.
OPERATORS = (
    "_convolution_pointwise",
    "_reorder_convolution_weight",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_transpose_weight",
)


def can_pack(kind: str, precision: str) -> bool:
    """Return whether ``pack`` works on a device of a ``kind``: a CPU, with a torch that has oneDNN's ``OPERATORS``."""
    if kind != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    has_operators = all(hasattr(torch.ops.mkldnn, name) for name in OPERATORS)
    return has_operators and (precision == "fp32" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))


class PackedConvolution(nn.Module):
    """A convolution, transposed or not, fused with its activation; its weight is packed for the last input shape.

    Calls are not thread-safe.
    """

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d, activation: nn.Module | None) -> None:
        """Create the layer from a convolution and the activation after it, or None."""
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
        self._packed_weight = self.weight

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x`` (N, C, H, W) and apply the activation."""
        if x.shape != self._shape:
            self._packed_weight = self._reorder(self.weight, *self._geometry, list(x.shape))
            self._packed_weight.plain = self.weight  # Read by ``plain_weight``
            self._shape = x.shape
        output: Tensor = self._run(x, self._packed_weight, self.bias, *self._geometry, *self._activation)
        return output


def plain_weight(packed_weight: Tensor) -> Tensor:
    """Return the weight of a ``PackedConvolution`` in torch's layout from the packed tensor."""
    plain: Tensor = getattr(packed_weight, "plain", packed_weight)
    return plain


def pack(network: nn.Module) -> nn.Module:
    """Replace each convolution by a ``PackedConvolution``, in place, fused with the activation after it.

    The network must be in eval mode, with its weights in their final precision.
    """
    for module in list(network.modules()):
        children = [(n, child) for n, child in module._modules.items() if not isinstance(child, nn.Identity)]
        for (name, child), (activation_name, activation) in pairwise([*children, ("", nn.Identity())]):
            if not isinstance(child, nn.Conv2d | nn.ConvTranspose2d):
                continue
            if child.padding_mode != "zeros" or isinstance(child.padding, str):
                continue
            fused = isinstance(module, nn.Sequential) and type(activation) in ACTIVATIONS
            module._modules[name] = PackedConvolution(child, activation if fused else None)
            if fused:
                module._modules[activation_name] = nn.Identity()
    return network


def fold_norm(network: nn.Module) -> nn.Module:
    """Fold every BatchNorm after a convolution into the convolution, in place. The network must be in eval mode."""
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        names = list(module._modules)
        for first, second in pairwise(names):
            conv, norm = module._modules[first], module._modules[second]
            if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                fused: Any = copy_sharing_weights(conv)
                statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
                both: Any = (conv.weight, conv.bias, *statistics, isinstance(conv, nn.ConvTranspose2d))
                fused.weight, fused.bias = fuse_conv_bn_weights(*both)
                module._modules[first], module._modules[second] = fused, nn.Identity()
    return network


def copy_sharing_weights(network: nn.Module) -> nn.Module:
    """Return a copy of a network that shares its weights; ``to`` and ``fold_norm`` replace weights only in the copy."""
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()}
    return copy.deepcopy(network, memo | {id(b): b for b in network.buffers()})


class EachPictureNorm(nn.InstanceNorm2d):
    """An instance norm that runs torch's batch norm on one picture at a time, which is faster on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W); return the same shape."""
        return _normalise(self, x)


class EachPictureBatchNorm(PictureNorm):
    """A ``PictureNorm`` that runs torch's batch norm on one picture at a time, which is faster on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W); return the same shape."""
        return super().forward(x) if x.shape[2] * x.shape[3] == 1 else _normalise(self, x)


def _normalise(norm: nn.InstanceNorm2d, x: Tensor) -> Tensor:
    """Return pictures (N, C, H, W), each normalised by its own statistics, with the scale and shift of ``norm``."""
    return norm_each_picture(x, repeat((norm.weight, norm.bias)), norm.eps)


# Classes of faster norms with the same output, by the class of the norm that they replace.
FAST_NORMS: dict[type[nn.InstanceNorm2d], type[nn.InstanceNorm2d]] = {
    nn.InstanceNorm2d: EachPictureNorm,
    PictureNorm: EachPictureBatchNorm,
}


def use_fast_norms(network: nn.Module, *, training: bool = False) -> bool:
    """Replace instance norms by ``FAST_NORMS``, in place; ``training``: only norms without running statistics.

    Return whether the network has any fast norm now.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.InstanceNorm2d)]
    for norm in norms:
        if type(norm) in FAST_NORMS and not (training and norm.track_running_stats):
            norm.__class__ = FAST_NORMS[type(norm)]  # Change the class, not the object: other modules refer to it
    return any(type(norm) in FAST_NORMS.values() for norm in norms)
