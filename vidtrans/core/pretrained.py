"""Pretrained networks of torchvision and their weights.

torchvision would download missing weights; vidtrans does not. The weights must be in torch's cache folder; the error
for missing weights gives their address.
"""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import torch

from vidtrans.core.errors import ModelError, UsageError


def torchvision_module(name: str, what: str, instead: str) -> Any:  # noqa: ANN401  (a module)
    """Import and return the module ``torchvision.NAME``. Raises UsageError if it cannot be imported.

    ``what``: the feature that needs it, and ``instead``: the user's alternative, both for the message.
    """
    try:
        return importlib.import_module(f"torchvision.{name}")
    except ImportError as error:
        why = "it needs torchvision" if error.name == "torchvision" else f"torchvision cannot be loaded ({error})"
    except (RuntimeError, OSError) as error:  # raised by a build for another version of torch
        why = f"torchvision does not go with torch {torch.__version__} ({error})"
    remedy = f"install the torchvision that goes with your torch (see pytorch.org), or choose {instead}"
    raise UsageError(what, why, remedy)


def find_weights(address: str, what: str, instead: str, *, lacking: str = "") -> Path:
    """Return the path, in torch's cache folder, of weights published at the URL ``address``. Raises UsageError.

    ``lacking``: text before the reason in the error; ``what`` and ``instead`` as for ``torchvision_module``.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]
    if not path.is_file():
        remedy = f"download {address} to that path (vidtrans does not download it), or choose {instead}"
        raise UsageError(what, f"{lacking}there is no {path}", remedy)
    return path


def load_weights(network: Any, path: Path, address: str) -> Any:  # noqa: ANN401  (of torchvision)
    """Load weights from a file into a torchvision network; return the network. Raises ModelError.

    ``address``: the URL of the published weights, for the message.
    """
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, EOFError, RuntimeError, ValueError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        why = f"not the weights that torchvision has ({type(error).__name__})"
        raise ModelError(str(path), why, f"delete it and download {address} again") from error
    return network
