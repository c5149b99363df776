"""The pictures of the Python interface: NumPy arrays or torch tensors, (height, width, 3) RGB."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import numpy as np

from vidtrans.core.errors import UsageError, first_line

if TYPE_CHECKING:
    import torch

Picture = TypeVar("Picture", np.ndarray, "torch.Tensor")  # Type of a picture: an array or a tensor
DTYPES = ("uint8", "uint16")  # Names of the supported dtypes of pictures
REMEDY = "give (height, width, 3) RGB in uint8 or uint16"  # Advice in errors about pictures with another shape or dtype


@dataclass(frozen=True)
class ClipFrame:
    """A frame of a clip. ``numpy.asarray(frame)`` returns its picture.

    Attributes:
        rgb: (H, W, 3) uint8 or uint16, upright, full range.
        index: its number in the clip.
        time: seconds from the clip's start, exact.
    """

    rgb: np.ndarray
    index: int
    time: Fraction

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: ANN401  (numpy's)
        """Return the picture for ``numpy.asarray``."""
        return np.array(self.rgb, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"ClipFrame(index={self.index}, time={float(self.time):.3f}, rgb={self.rgb.shape})"


def to_array(picture: object, label: str = "a frame") -> np.ndarray:
    """Return a picture as a contiguous array, not copied if it already is one. Raises UsageError for other data.

    Accepts arrays, tensors on any device, and ``ClipFrame``s. ``label``: the name of the picture, for errors.
    """
    if isinstance(picture, ClipFrame):
        picture = picture.rgb
    if is_tensor(picture):
        _check_picture(picture, str(picture.dtype).removeprefix("torch."), label)
        try:
            picture = picture.detach().cpu().numpy()
        except (TypeError, NotImplementedError) as error:  # Raised for a tensor that is sparse or has no data
            raise UsageError(label, first_line(error), REMEDY) from None
    elif isinstance(picture, np.ndarray):
        _check_picture(picture, str(picture.dtype), label)
    else:
        raise UsageError(label, f"it is of type {type(picture).__name__}, not an array or a tensor", REMEDY)
    return np.ascontiguousarray(picture)


def copy_to_array(picture: object, label: str = "a frame") -> np.ndarray:
    """Return a copy of a picture as an array, which later changes to the picture do not affect.

    Raises like ``to_array``.
    """
    array = to_array(picture, label)
    shared = array is picture or array.base is not None or isinstance(picture, ClipFrame)
    return array.copy() if shared else array


def is_tensor(picture: object) -> TypeGuard[torch.Tensor]:
    """Return whether an object is a torch tensor, without importing torch."""
    return hasattr(picture, "detach") and hasattr(picture, "cpu")


def _check_picture(picture: np.ndarray | torch.Tensor, dtype: str, label: str) -> None:
    """Raise UsageError for a shape or dtype that a picture cannot have; ``label`` names the picture."""
    shape = tuple(picture.shape)
    if dtype in DTYPES and len(shape) == 3 and shape[2] == 3 and 0 not in shape:
        return
    remedy = REMEDY
    if dtype.startswith(("float", "bfloat")):
        remedy = "of floats from 0 to 1 give (255 * x).round().astype('uint8'), of a tensor (255 * x).round().byte()"
    elif dtype in DTYPES and len(shape) == 3 and shape[2] == 4:
        remedy = "leave out the alpha: picture[:, :, :3]"
    elif dtype in DTYPES and len(shape) == 2:
        remedy = "give the grey three times: numpy.dstack([grey] * 3)"
    elif dtype in DTYPES and len(shape) == 3 and shape[0] == 3:
        remedy = "the channels come last: array.transpose(1, 2, 0), or tensor.permute(1, 2, 0)"
    raise UsageError(label, f"it is {'x'.join(map(str, shape)) or 'a number'} of {dtype}", remedy)


def check_frames(frames: object, label: str = "frames") -> None:
    """Raise UsageError for an object that is not a sequence of pictures, such as a single picture or a path.

    ``label``: the name of the argument, for errors.
    """
    if isinstance(frames, str | Path):
        raise UsageError(label, f"'{frames}' is a path", "open it: vidtrans.open_clip(path)")
    if isinstance(frames, ClipFrame) or getattr(frames, "ndim", 4) < 4:
        raise UsageError(label, "it is one picture", "give a list of pictures, or call model(picture)")
    if not hasattr(frames, "__iter__") and not hasattr(frames, "__getitem__"):
        raise UsageError(label, f"it is of type {type(frames).__name__}", "give a list or a generator of pictures")


def device_of(picture: object) -> torch.device | None:
    """Return the device of a torch tensor; None for any other picture."""
    return picture.device if is_tensor(picture) else None


def copy_to_device(picture: np.ndarray, device: torch.device | None) -> Any:  # noqa: ANN401  (an array or a tensor)
    """Return a copy of a picture: a tensor on ``device``, or an array if ``device`` is None."""
    if device is None:
        return picture.copy()
    import torch

    return torch.from_numpy(picture.copy()).to(device)
