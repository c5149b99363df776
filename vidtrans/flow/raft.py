"""RAFT (Teed and Deng, ECCV 2020), as torchvision has it: for whoever has installed it and its weights.

Nothing is ever downloaded. torchvision would do that by itself; here the weights have to lie where it would put them,
and whoever misses them is told the address.
"""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch

from vidtrans.errors import ModelError, UsageError

SMALLEST_SIDE = 128  # its correlation pyramid has four levels, from an eighth of the size
MULTIPLE = 8


class Raft:
    """The large network with torchvision's default weights.

    Raises UsageError where torchvision or the weights are not there, ModelError where the weights cannot be read.
    """

    takes: Literal["rgb"] = "rgb"
    name, network, weights = "raft", "raft_large", "Raft_Large_Weights"

    def __init__(self, device: str = "cpu") -> None:
        self._device = torch.device(device)
        parts = _torchvision(self.name)
        made = getattr(parts, self.network)(weights=None)
        address = getattr(parts, self.weights).DEFAULT.url
        self._network = _with_weights(made, address, self.name).eval().to(self._device)

    @torch.inference_mode()
    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB twice → (H, W, 2) float32 pixels. Padded to what the network can take."""
        height, width = first.shape[:2]
        a, b = (self._tensor(picture) for picture in (first, second))
        flow = self._network(a, b)[-1][0, :, :height, :width]
        return np.ascontiguousarray(flow.permute(1, 2, 0).float().cpu().numpy())

    def _tensor(self, picture: np.ndarray) -> torch.Tensor:
        """(1, 3, H', W') float32 in [-1, 1]."""
        height, width = picture.shape[:2]
        below, right = (max(SMALLEST_SIDE, side + -side % MULTIPLE) - side for side in (height, width))
        padded = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE)
        return torch.from_numpy(padded).to(self._device).permute(2, 0, 1)[None].float() / 127.5 - 1


class RaftSmall(Raft):
    """The small network: a third of the time."""

    name, network, weights = "raft-small", "raft_small", "Raft_Small_Weights"


def _torchvision(name: str) -> Any:
    """torchvision's module of flow networks."""
    try:
        return importlib.import_module("torchvision.models.optical_flow")
    except ImportError as error:
        why = "it needs torchvision" if error.name == "torchvision" else f"torchvision cannot be loaded ({error})"
    except (RuntimeError, OSError) as error:  # what a build for another torch ends in
        why = f"torchvision does not go with torch {torch.__version__} ({error})"
    remedy = "install the torchvision that goes with your torch (see pytorch.org), or choose dis-fine"
    raise UsageError(f"the flow method '{name}' is not installed", why, remedy)


def _with_weights(network: Any, address: str, name: str) -> Any:
    """The network with the weights that lie in torch's cache; ``address`` is where torchvision has them from."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]
    if not path.is_file():
        remedy = f"download {address} to there (nothing is downloaded unasked), or choose dis-fine"
        raise UsageError(f"the weights of the flow method '{name}' are not installed", f"there is no {path}", remedy)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, EOFError, RuntimeError, ValueError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        why = f"not the weights that torchvision has ({type(error).__name__})"
        raise ModelError(str(path), why, f"delete it and download {address} anew") from error
    return network
