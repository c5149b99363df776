"""Prepare a network for an engine: norms folded into convolutions, fast instance norms, shared weights.

On a CPU torch's instance norms copy each picture to a channels-first layout. A batch norm over a single picture
computes the same sum in the channels-last layout of the convolutions: rendering in bf16 takes about a twentieth of the
time, and a translator's forward and backward pass in training two thirds. Outputs of whole networks differed by at most
two levels of 255.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from vidtrans.networks.layers import PictureNorm, norm_each_picture


def fold_norm(network: nn.Module) -> nn.Module:
    """Fold every BatchNorm that follows a convolution into it, in place. The network must be in eval mode."""
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        names = list(module._modules)
        for first, second in itertools.pairwise(names):
            conv, norm = module._modules[first], module._modules[second]
            if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                fused: Any = copy_sharing_weights(conv)
                statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
                both: Any = (conv.weight, conv.bias, *statistics, isinstance(conv, nn.ConvTranspose2d))
                fused.weight, fused.bias = fuse_conv_bn_weights(*both)
                module._modules[first], module._modules[second] = fused, nn.Identity()
    return network


def copy_sharing_weights(network: nn.Module) -> nn.Module:
    """Return a quick copy that shares its weights until they are replaced, as by ``to`` and ``fold_norm``."""
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()}
    return copy.deepcopy(network, memo | {id(b): b for b in network.buffers()})


class EachPictureNorm(nn.InstanceNorm2d):
    """An instance norm, computed as a batch norm over each picture."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W); return the same shape."""
        return _normed(self, x)


class EachPictureBatchNorm(PictureNorm):
    """A batch norm that uses the statistics of each picture."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W); return the same shape."""
        return super().forward(x) if x.shape[2] * x.shape[3] == 1 else _normed(self, x)


def _normed(norm: nn.InstanceNorm2d, x: Tensor) -> Tensor:
    return norm_each_picture(x, itertools.repeat((norm.weight, norm.bias)), norm.eps)


QUICK: dict[type[nn.InstanceNorm2d], type[nn.InstanceNorm2d]] = {
    nn.InstanceNorm2d: EachPictureNorm,
    PictureNorm: EachPictureBatchNorm,
}


def use_quick_norms(network: nn.Module, *, training: bool = False) -> bool:
    """Replace a network's instance norms by faster ones, in place; return whether the network has faster ones now.

    ``training``: norms that learn statistics stay unchanged.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.InstanceNorm2d)]
    for norm in norms:
        if type(norm) in QUICK and not (training and norm.track_running_stats):
            norm.__class__ = QUICK[type(norm)]  # in place, since others hold references to the modules
    return any(type(norm) in QUICK.values() for norm in norms)
