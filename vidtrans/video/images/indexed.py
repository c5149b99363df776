"""Read the palette and the indices of pictures that have a palette, such as label maps as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.video.frame_format import MAX_PIXELS
from vidtrans.video.images.picture import EXR, picture_size


def read_palette(path: Path) -> np.ndarray | None:
    """Return the palette of a picture, (N, 3) uint8 RGB; None for a picture without one. Raises MediaError."""
    from PIL import Image

    width, height = picture_size(path)  # checks the file
    if path.suffix.lower() == EXR or width * height > MAX_PIXELS:
        return None
    with Image.open(path) as picture:
        colours = picture.getpalette("RGB") if picture.mode == "P" else None
    return None if colours is None else np.array(colours, np.uint8).reshape(-1, 3)


def has_deep_levels(path: Path) -> bool:
    """Return whether a picture has one channel of more than 8 bits. Raises MediaError."""
    from PIL import Image

    picture_size(path)
    if path.suffix.lower() == EXR:
        return False
    with Image.open(path) as picture:
        return picture.mode[0] in "IF"


def read_indices(path: Path) -> np.ndarray:
    """Return the palette indices of a picture that has a palette, (H, W) uint8. Raises MediaError."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.array(picture, np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise MediaError(str(path), f"not a picture that can be read ({error})", "delete or replace it") from None
