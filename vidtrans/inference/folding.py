"""Prepare a network for an engine: norms folded into convolutions, weights shared with the model that was loaded."""

from __future__ import annotations

import copy
import itertools
from typing import Any

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


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
    """Return a copy that shares its weights until they are replaced, as ``to`` and ``fold_norm`` do: it is quick."""
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()}
    return copy.deepcopy(network, memo | {id(b): b for b in network.buffers()})
