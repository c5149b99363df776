"""The flow method RAFT (Teed and Deng, ECCV 2020) of torchvision, if torchvision and the weights are installed.

See ``core.pretrained`` for the location of the weights.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import torch

from vidtrans.core.files import digest_file
from vidtrans.core.pretrained import find_weights, load_weights, torchvision_module
from vidtrans.flow.identity import torch_identity

MIN_SIDE_PX = 128  # Minimum side of the input, in pixels: the correlation pyramid has four levels from 1/8 size on
SIDE_MULTIPLE_PX = 8  # Divisor of the sides of the input, in pixels
ALTERNATIVE = "dis-fine"  # Name of the flow method that messages suggest if RAFT is not installed


class Raft:
    """The large RAFT network with torchvision's default weights.

    Raises UsageError if torchvision or the weights are missing, ModelError if the weights cannot be read.
    """

    name, network, weights = "raft", "raft_large", "Raft_Large_Weights"

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)
        path, address = self._find_weights()
        network = getattr(_torchvision(self.name), self.network)(weights=None)
        self._network = load_weights(network, path, address).eval().to(self._device)

    @classmethod
    def identity(cls, device: str = "cpu") -> str:
        """Return the properties that affect the flow: versions, the weights' digest, the kind of device.

        Raises UsageError like the class.
        """
        path, _ = cls._find_weights()
        version = importlib.import_module("torchvision").__version__.partition("+")[0]
        return torch_identity(device, f"torchvision {version}", f"weights {digest_file(path)}")

    @classmethod
    def _find_weights(cls) -> tuple[Path, str]:
        """Return the path of the weights in torch's cache, and their download address. Raises UsageError."""
        address: str = getattr(_torchvision(cls.name), cls.weights).DEFAULT.url
        what = f"the weights of the flow method '{cls.name}' are not installed"
        return find_weights(address, what, ALTERNATIVE), address

    @torch.inference_mode()
    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the flow between two pictures (H, W, 3) uint8 RGB: (H, W, 2) float32 pixels."""
        height, width = first.shape[:2]
        a, b = (self._tensor(picture) for picture in (first, second))
        flow = self._network(a, b)[-1][0, :, :height, :width]
        return np.ascontiguousarray(flow.permute(1, 2, 0).float().cpu().numpy())

    def _tensor(self, picture: np.ndarray) -> torch.Tensor:
        """Return a picture as (1, 3, H', W') float32 in [-1, 1], padded to a size that the network accepts."""
        height, width = picture.shape[:2]
        below, right = (max(MIN_SIDE_PX, side + -side % SIDE_MULTIPLE_PX) - side for side in (height, width))
        padded = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE)
        return torch.from_numpy(padded).to(self._device).permute(2, 0, 1)[None].float() / 127.5 - 1


class RaftSmall(Raft):
    """The small RAFT network, which takes a third of the time of the large one."""

    name, network, weights = "raft-small", "raft_small", "Raft_Small_Weights"


# Functions that return a network's part of a cache key; ``FLOWS`` names them by these names
raft_identity, raft_small_identity = Raft.identity, RaftSmall.identity


def _torchvision(name: str) -> ModuleType:
    """Return torchvision's module of flow networks. Raises UsageError if it is not installed."""
    return torchvision_module("models.optical_flow", f"the flow method '{name}' is not installed", ALTERNATIVE)
