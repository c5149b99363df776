"""The pictures that the library takes and returns: numpy arrays, or torch tensors."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vidtrans.core.errors import UsageError

if TYPE_CHECKING:
    import torch

Picture = TypeVar("Picture", np.ndarray, "torch.Tensor")
REMEDY = "give (height, width, 3) RGB in uint8 or uint16; of floats from 0 to 1: (255 * x).round().astype('uint8')"


@dataclass(frozen=True)
class ClipFrame:
    """A frame of a clip. ``numpy.asarray(frame)`` is its picture.

    Attributes:
        rgb: (H, W, 3) uint8 or uint16, upright, full range.
        index: its number in the clip.
        time: seconds from the clip's start, exact.
    """

    rgb: np.ndarray
    index: int
    time: Fraction

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: ANN401  (numpy's)
        return np.array(self.rgb, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"ClipFrame(index={self.index}, time={float(self.time):.3f}, rgb={self.rgb.shape})"


def to_array(picture: object, what: str = "a frame") -> np.ndarray:
    """Return a picture as a contiguous array, without a copy where it is one. Raises UsageError for other data.

    Takes arrays, tensors on any device, and ``ClipFrame``s.
    """
    if isinstance(picture, ClipFrame):
        picture = picture.rgb
    elif hasattr(picture, "detach"):  # a tensor; torch is not imported for others
        picture = picture.detach().cpu().numpy()
    if not isinstance(picture, np.ndarray):
        raise UsageError(what, f"it is a {type(picture).__name__}, not a picture", REMEDY)
    if picture.dtype not in (np.uint8, np.uint16) or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        shape = "x".join(map(str, picture.shape)) or "a number"
        raise UsageError(what, f"it is {shape} of {picture.dtype}", REMEDY)
    return np.ascontiguousarray(picture)


def like(given: object, picture: np.ndarray) -> Any:  # noqa: ANN401  (an array or a tensor)
    """Return ``picture`` as a tensor on the same device if ``given`` is a tensor; else as it is."""
    device = getattr(given, "device", None) if hasattr(given, "detach") else None
    if device is None:
        return picture
    import torch

    return torch.from_numpy(picture).to(device)
