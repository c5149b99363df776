"""A torchvision of our own, with a small network in the order of VGG-19's layers."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from torch import nn


class TinyVGG(nn.Module):
    """VGG-19's order of layers, at a few channels."""

    def __init__(self, channels: int = 2) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for block, count in enumerate((2, 2, 4, 4, 4)):
            for _ in range(count):
                layers += [nn.Conv2d(before, channels, 3, 1, 1), nn.ReLU(inplace=True)]
                before = channels
            if block < 4:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)


def install_tiny_vgg(monkeypatch: pytest.MonkeyPatch, folder: Path, channels: int = 2) -> Path:
    """Let torchvision be one that has this network; return where its weights belong."""
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    models: Any = ModuleType("torchvision.models")
    models.vgg19 = lambda weights: TinyVGG(channels)
    models.VGG19_Weights = SimpleNamespace(DEFAULT=SimpleNamespace(url="https://example.invalid/vgg19-12.pth"))
    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    path = folder / "torch/hub/checkpoints/vgg19-12.pth"
    path.parent.mkdir(parents=True)
    return path
