"""The looks that ship: by name, the norms of the style transfer network, and a picture.

They began with what was predicted from a style picture, and were taught on (``examples/gallery.py``).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.core.files import PACKAGE

if TYPE_CHECKING:
    from torch import Tensor

PICTURES = PACKAGE / "assets" / "gallery"  # the weights are there, too: files in assets/ are models that have a name
WEIGHTS_FILE = PICTURES / "style-prediction.safetensors"  # of the predictor and the style transfer network
NORMS_FILE = PICTURES / "norms.safetensors"  # of each look a tensor, (N,) float16


# Looks named after their colours or light, or of one ink. The others are named after a medium in which anything may be
# painted in its own colours, such as oil: they keep the source's.
WITH_COLOURS = frozenset(("blueprint", "charcoal", "ink", "linocut", "neon", "risograph", "stained-glass"))


@cache
def gallery_looks() -> tuple[str, ...]:
    """Return the names of the looks that ship."""
    return tuple(sorted(path.stem for path in PICTURES.glob("*.jpg")))


def gallery_picture(name: str) -> Path:
    """Return the path of a part of the style picture of a look that ships."""
    return PICTURES / f"{name}.jpg"


def gallery_norms(name: str) -> Tensor:
    """Return the norms of a look that ships, (N,) float32, as ``StylePrediction.norms`` orders them."""
    from safetensors import safe_open

    with safe_open(str(NORMS_FILE), framework="pt") as file:
        norms: Tensor = file.get_tensor(name).float()
        return norms
