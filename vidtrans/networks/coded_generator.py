"""A generator with many looks: a code of a few numbers beside its input says which, and scales and shifts its norms.

The code comes as planes of one value each at the end of the input, as in BicycleGAN (Zhu et al., NeurIPS 2017), whose
networks have batch norms. An instance norm takes away what is the same all over a picture, so that planes alone would
say nothing; hence each norm is scaled and shifted by the code as well (AdaIN, Huang and Belongie, ICCV 2017). The
encoder that finds the code of a picture goes along, so that a model file needs nothing else.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vidtrans.networks.code_planes import CODE_RANGE
from vidtrans.networks.layers import PictureNorm
from vidtrans.networks.picture_encoder import PictureEncoder


class CurrentCode:
    """The codes of the pictures on their way through a generator, (N, size); a copy of a network begins without."""

    def __init__(self) -> None:
        self.values: Tensor | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> CurrentCode:
        made = CurrentCode()
        memo[id(self)] = made
        return made


class CodedNorm(nn.Module):
    """A norm whose output is scaled and shifted by the code. Before training it is the norm itself."""

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
    """``painter`` is any generator of (N, ``in_channels`` + size, H, W). Its norms are put into ``CodedNorm``.

    A batch norm becomes one by the statistics of each picture: those of a batch would be of its many looks, in which
    low contrast and high do not stay apart. An input without the planes of a code is painted with the code 0.
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
