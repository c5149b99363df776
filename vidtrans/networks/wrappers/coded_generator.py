"""A generator with many looks: a style code, given as extra input planes, scales and shifts its norms.

The code comes as constant planes at the end of the input, as in BicycleGAN (Zhu et al., NeurIPS 2017), whose networks
have batch norms. An instance norm removes everything that is constant over a picture, so planes alone would have no
effect; therefore the code also scales and shifts each norm (AdaIN, Huang and Belongie, ICCV 2017). The encoder that
finds the code of a picture is part of the module, so that a model file is complete.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vidtrans.networks.code_planes import CODE_RANGE
from vidtrans.networks.layers import PictureNorm
from vidtrans.networks.picture_encoder import PictureEncoder


class CurrentCode:
    """The style codes (N, size) of the batch that a generator is processing; a copied network starts without codes."""

    def __init__(self) -> None:
        self.values: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> CurrentCode:
        made = CurrentCode()
        memo[id(self)] = made
        return made


class CodedNorm(nn.Module):
    """A norm whose output is scaled and shifted by the style code. Before training it equals the plain norm."""

    def __init__(self, norm: nn.Module, channels: int, size: int, current: CurrentCode) -> None:
        super().__init__()
        self.norm, self.current = norm, current
        self.scale = nn.Parameter(torch.zeros(size, channels))
        self.shift = nn.Parameter(torch.zeros(size, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        code = self.current.values
        assert code is not None, "the generator sets it"
        scale, shift = ((code.to(x.dtype) @ part.to(x.dtype))[..., None, None] for part in (self.scale, self.shift))
        normed: Tensor = self.norm(x)
        return normed * (1 + scale) + shift


class CodedGenerator(nn.Module):
    """A generator that wraps each norm of ``painter``, which takes (N, ``in_channels`` + size, H, W), in ``CodedNorm``.

    Batch norms are replaced by ``PictureNorm``: batch statistics would mix the looks in a batch, so that low and high
    contrast could not be distinguished. An input without code planes is painted with the code 0.
    """

    def __init__(self, painter: Any, in_channels: int, size: int) -> None:  # noqa: ANN401  (a generator)
        super().__init__()
        self.painter, self.picture_channels, self.code_size = painter, in_channels, size
        self.multiple: int = painter.multiple
        self.smallest: int = painter.smallest
        self.encoder = PictureEncoder(size)
        self._current = CurrentCode()
        for parent in list(painter.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.BatchNorm2d | nn.InstanceNorm2d):
                    norm = PictureNorm(child.num_features) if isinstance(child, nn.BatchNorm2d) else child
                    setattr(parent, name, CodedNorm(norm, child.num_features, size, self._current))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in + size, H, W), last the planes of a code, or (N, in, H, W) → (N, 3, H, W)."""
        if x.shape[1] == self.picture_channels:
            x = torch.cat([x, x.new_zeros(len(x), self.code_size, *x.shape[2:])], 1)
        self._current.values = x[:, self.picture_channels :, 0, 0] * CODE_RANGE
        painted: Tensor = self.painter(x)
        return painted
