"""What a run gives to its training method, at toy size."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch

from vidtrans.inference.device import Device
from vidtrans.networks.init import build_discriminator, build_generator, initialise
from vidtrans.training import METHODS
from vidtrans.training.distributed import SINGLE_PROCESS, DistContext
from vidtrans.training.settings import TrainingSettings

CLASSES = np.array([[10, 20, 30], [200, 0, 0], [0, 90, 255]], np.uint8)
TRANSLATOR = ("translator", {"channels": 8, "blocks": 1, "norm": "instance"})


class ToySetup:
    """``generator``: its name and settings; ``in_channels``: of its input. A way back has no code."""

    device, precision, recolour = Device("cpu", "cpu"), "fp32", None
    generator: ClassVar[tuple[str, dict[str, Any]]] = ("unet-small", {"channels": 8, "blocks": [0, 0, 0]})
    in_channels: ClassVar[int] = 1

    def __init__(self, settings: TrainingSettings, seed: int = 0, dist: DistContext = SINGLE_PROCESS) -> None:
        self.settings, self.seed, self.dist = settings, seed, dist

    def make_generator(self, number: int = 0, *, reverse: bool = False) -> Any:
        codes = 0 if reverse else METHODS.load(self.settings.method).code_size(self.settings)
        memory = self.settings.recurrent
        classes = CLASSES if METHODS.load(self.settings.method).has_label_targets else None
        network = build_generator(*self.generator, self.in_channels, memory=memory, code_size=codes, classes=classes)
        self.initialise(network, number)
        return network

    def make_discriminator(self, channels: int, number: int) -> Any:
        network = build_discriminator("patchgan", {"num_layers": 1, "channels": 8}, channels)
        self.initialise(network, number)
        return network

    def initialise(self, network: Any, number: int) -> None:
        initialise(network, self.seed + number)

    def find_rarity(self) -> None:
        return None

    def find_class_shares(self) -> torch.Tensor:
        return torch.full((len(CLASSES),), 1 / len(CLASSES))
