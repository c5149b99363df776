"""The few transforms of torchvision that other programs ask for, for PIL pictures, where it is not installed."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image


@dataclass(frozen=True)
class Compose:
    """Apply one transform after the other."""

    transforms: Sequence[Callable[[Any], Any]]

    def __call__(self, picture: Any) -> Any:
        for transform in self.transforms:
            picture = transform(picture)
        return picture


@dataclass(frozen=True)
class Lambda:
    """Call a function."""

    function: Callable[[Any], Any]

    def __call__(self, picture: Any) -> Any:
        return self.function(picture)


@dataclass(frozen=True)
class Resize:
    """Scale to (height, width)."""

    size: Sequence[int]
    method: Image.Resampling = Image.Resampling.BICUBIC

    def __call__(self, picture: Image.Image) -> Image.Image:
        return picture.resize((self.size[1], self.size[0]), self.method)


@dataclass(frozen=True)
class Grayscale:
    """Take the colours away."""

    channels: int = 1

    def __call__(self, picture: Image.Image) -> Image.Image:
        return picture.convert("L")


@dataclass(frozen=True)
class RandomCrop:
    """Cut out a square at random."""

    size: int

    def __call__(self, picture: Image.Image) -> Image.Image:
        x, y = (random.randint(0, max(0, side - self.size)) for side in picture.size)
        return picture.crop((x, y, x + self.size, y + self.size))


@dataclass(frozen=True)
class RandomHorizontalFlip:
    """Flip every other picture."""

    share: float = 0.5

    def __call__(self, picture: Image.Image) -> Image.Image:
        flipped = random.random() < self.share
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flipped else picture


class ToTensor:
    """(H, W, C) uint8 → (C, H, W) float32 in [0, 1]."""

    def __call__(self, picture: Image.Image) -> torch.Tensor:
        values = np.atleast_3d(np.asarray(picture, np.float32) / 255)
        return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


@dataclass(frozen=True)
class Normalize:
    """Subtract a mean and divide by a deviation, a value for each channel."""

    mean: Sequence[float]
    std: Sequence[float]

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (self.mean, self.std))
        return (values - mean) / std


TRANSFORMS = (Compose, Lambda, Resize, Grayscale, RandomCrop, RandomHorizontalFlip, ToTensor, Normalize)


def install() -> None:
    """Put the transforms in torchvision's place, unless it is installed."""
    if importlib.util.find_spec("torchvision") is not None:
        return
    package, transforms = ModuleType("torchvision"), ModuleType("torchvision.transforms")
    for transform in TRANSFORMS:
        setattr(transforms, transform.__name__, transform)
    transforms.InterpolationMode = Image.Resampling  # type: ignore[attr-defined]
    package.transforms = transforms  # type: ignore[attr-defined]
    sys.modules.update({"torchvision": package, "torchvision.transforms": transforms})
