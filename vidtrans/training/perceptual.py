"""A perceptual loss on VGG-19 (Johnson et al., ECCV 2016), for whoever has torchvision and its weights.

Nothing is ever downloaded: the weights have to lie where torchvision would put them, and whoever misses them is told
the address. Layers and weights are those of pix2pixHD (Wang et al., CVPR 2018, section 3.3).
"""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.errors import ModelError, UsageError
from vidtrans.files import digest_file

# relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 in torchvision's numbering, and what each weighs.
LAYERS = {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1.0}
SMALLEST_SIDE = 16  # four poolings come before the last layer
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
WHAT = "training.perceptual_network = 'vgg19'"


class VGG(nn.Module):
    """The distance between two pictures in VGG-19's features: the sum of the layers' weighted L1.

    Raises UsageError where torchvision or the weights are not there, ModelError where the weights cannot be read.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        path, address = _find_weights()
        network = _with_weights(_torchvision().vgg19(weights=None), path, address)
        self.layers = network.features[: max(LAYERS) + 1]
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, fake: Tensor, target: Tensor) -> Tensor:
        """(N, 3, H, W) in [−1, 1] twice → a scalar; learns from ``fake`` alone."""
        with torch.no_grad():
            wanted = self._features(target)
        got = self._features(fake)
        weighed = zip(LAYERS.values(), got, wanted, strict=True)
        return torch.stack([weight * F.l1_loss(a.float(), b.float()) for weight, a, b in weighed]).sum()

    def _features(self, picture: Tensor) -> list[Tensor]:
        x = ((picture + 1) / 2 - self.mean) / self.std
        kept = []
        for at, layer in enumerate(self.layers):
            x = layer(x)
            if at in LAYERS:
                # torchvision's ReLUs work in place, and so does nothing on what is kept: a pooling comes next, or a
                # convolution.
                kept.append(x)
        return kept


def identity() -> str:
    """What decides the loss besides the pictures: the weights' content. Raises UsageError as the class does."""
    return f"vgg19 {digest_file(_find_weights()[0])}"


def _find_weights() -> tuple[Path, str]:
    """Where the weights lie in torch's cache, and where torchvision has them from. Raises UsageError."""
    address: str = _torchvision().VGG19_Weights.DEFAULT.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]
    if not path.is_file():
        remedy = f"download {address} to there (nothing is downloaded unasked), or choose 'discriminator'"
        raise UsageError(WHAT, f"its weights are not installed: there is no {path}", remedy)
    return path, address


def _torchvision() -> Any:
    """torchvision's module of classifiers."""
    try:
        return importlib.import_module("torchvision.models")
    except ImportError as error:
        why = "it needs torchvision" if error.name == "torchvision" else f"torchvision cannot be loaded ({error})"
    except (RuntimeError, OSError) as error:  # what a build for another torch ends in
        why = f"torchvision does not go with torch {torch.__version__} ({error})"
    remedy = "install the torchvision that goes with your torch (see pytorch.org), or choose 'discriminator'"
    raise UsageError(WHAT, why, remedy)


def _with_weights(network: Any, path: Path, address: str) -> Any:
    """The network with the weights of a file; ``address`` is where torchvision has them from. Raises ModelError."""
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, EOFError, RuntimeError, ValueError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        why = f"not the weights that torchvision has ({type(error).__name__})"
        raise ModelError(str(path), why, f"delete it and download {address} anew") from error
    return network
