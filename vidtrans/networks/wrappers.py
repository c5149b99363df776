"""Modules around a generator: classes, many looks by a code, a background plate."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.core.errors import UsageError
from vidtrans.networks.code_planes import CODE_RANGE
from vidtrans.networks.layers import PictureNorm
from vidtrans.networks.picture_encoder import PictureEncoder

# Times a painter's output, which is from −1 to 1: the largest difference of two logits is 20, a ratio of 5e8.
LOGITS = 10.0


class ClassGenerator(nn.Module):
    """A generator that gives each pixel the colour of the class that ``painter``, (N, C, H, W) → (N, K, H, W), finds.

    So a model of classes is rendered, exported and chained like any other; only its training sees the channels.
    ``colours``: those of the K classes, (K, 3) uint8.
    """

    class_colours: Tensor

    def __init__(self, painter: Any, colours: np.ndarray) -> None:  # noqa: ANN401  (a generator)
        super().__init__()
        if getattr(painter, "residual", False):
            why = "the generator adds to its input frame, and classes are no picture"
            raise UsageError("generator.residual", why, "train with --set generator.residual=false")
        self.painter = painter
        self.multiple: int = painter.multiple
        self.smallest: int = painter.smallest
        self.register_buffer("class_colours", torch.tensor(colours.tolist(), dtype=torch.uint8))

    def logits(self, x: Tensor) -> Tensor:
        """Return the unnormalised log-probabilities of the classes, (N, K, H, W), for (N, C, H, W)."""
        logits: Tensor = LOGITS * self.painter(x)
        return logits

    def coloured(self, scores: Tensor) -> Tensor:
        """Return the colours of the classes with the highest scores, (N, K, H, W) → (N, 3, H, W) float32 in [−1, 1]."""
        chosen = self.class_colours[scores.argmax(1)]
        return chosen.permute(0, 3, 1, 2).float() / 127.5 - 1

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, 3, H, W), in which each pixel has exactly the colour of a class."""
        return self.coloured(self.painter(x))


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
    """A generator of many looks: each norm of ``painter``, which takes (N, ``in_channels`` + size, H, W), is coded.

    The code comes as constant planes at the end of the input, as in BicycleGAN (Zhu et al., NeurIPS 2017), whose
    networks have batch norms. An instance norm removes everything that is constant over a picture, so planes alone
    would have no effect; therefore the code also scales and shifts each norm (AdaIN, Huang and Belongie, ICCV 2017).
    The encoder that finds the code of a picture is part of the module, so that a model file is complete.

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


class PlateGenerator(nn.Module):
    """A generator that composes the output of ``painter``, (N, in + 3, H, W) → (N, 4, H, W), onto a background plate.

    The plate comes as three more channels of the input, cropped and mirrored like the training pair; a fourth channel
    of the output, m, is the foreground mask: m·rgb + (1 − m)·plate.

    ``plate`` (H, W, 3) uint8 is the background of the targets; ``scene``, of the same shape, is the background of the
    source frames (equal to the plate unless the training pairs have targets of another appearance).
    """

    plate: Tensor
    scene: Tensor

    def __init__(self, painter: Any, size: tuple[int, int]) -> None:  # noqa: ANN401  (a generator)
        super().__init__()
        if getattr(painter, "residual", False):
            why = "the generator adds to its input frame, so it keeps the background already"
            raise UsageError(
                "training.background_plate", why, "leave it out, or train with --set generator.residual=false"
            )
        self.painter = painter
        self.multiple: int = painter.multiple
        self.smallest: int = painter.smallest
        for name in ("plate", "scene"):
            self.register_buffer(name, torch.zeros((size[1], size[0], 3), dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in + 3, H, W), of which the last three channels are the plate → (N, 3, H, W)."""
        painted, plate = self.painter(x), x[:, -3:]
        share = (painted[:, 3:] + 1) / 2
        composed: Tensor = plate + share * (painted[:, :3] - plate)
        return composed

    @property
    def picture(self) -> np.ndarray:
        """The background plate, (H, W, 3) uint8."""
        return self.plate.cpu().numpy()

    def set_plate(self, plate: np.ndarray, scene: np.ndarray) -> None:
        """Set both backgrounds, (H, W, 3) uint8 each, in the size given at construction."""
        self.plate.copy_(torch.from_numpy(plate))
        self.scene.copy_(torch.from_numpy(scene))
