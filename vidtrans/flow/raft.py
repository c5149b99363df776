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
from vidtrans.files import digest_file

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
        path, address = self._find_weights()
        made = getattr(_torchvision(self.name), self.network)(weights=None)
        self._network = _with_weights(made, path, address).eval().to(self._device)

    @classmethod
    def identity(cls, device: str = "cpu") -> str:
        """What besides the pictures decides the flow: versions, the weights' content, the kind of device.

        Raises UsageError as the class does.
        """
        path, _ = cls._find_weights()
        kind = torch.device(device).type
        # How a sum is split between threads decides its rounding.
        threads = [f"{torch.get_num_threads()} threads"] if kind == "cpu" else []
        packages = (torch, importlib.import_module("torchvision"))
        versions = [f"{part.__name__} {part.__version__.partition('+')[0]}" for part in packages]
        return ", ".join([*versions, f"weights {digest_file(path)}", kind, *threads])

    @classmethod
    def _find_weights(cls) -> tuple[Path, str]:
        """Where the weights lie in torch's cache, and where torchvision has them from. Raises UsageError."""
        address: str = getattr(_torchvision(cls.name), cls.weights).DEFAULT.url
        path = Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]
        if not path.is_file():
            what = f"the weights of the flow method '{cls.name}' are not installed"
            remedy = f"download {address} to there (nothing is downloaded unasked), or choose dis-fine"
            raise UsageError(what, f"there is no {path}", remedy)
        return path, address

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


def _with_weights(network: Any, path: Path, address: str) -> Any:
    """The network with the weights of a file; ``address`` is where torchvision has them from. Raises ModelError."""
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, EOFError, RuntimeError, ValueError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        why = f"not the weights that torchvision has ({type(error).__name__})"
        raise ModelError(str(path), why, f"delete it and download {address} anew") from error
    return network
