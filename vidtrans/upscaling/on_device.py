"""Enlarge pictures on a GPU: uploaded, enlarged in torch, and downloaded."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vidtrans.upscaling import tensor_pictures
from vidtrans.upscaling.enlarging import enlarged
from vidtrans.upscaling.luma import enlarged_by_luma
from vidtrans.upscaling.mending import FAULTLESS, Faults


def upscale_on(
    device: torch.device | str,
    output: np.ndarray,
    source: np.ndarray,
    mode: str,
    faults: Faults = FAULTLESS,
    share: float = 1.0,
) -> np.ndarray:
    """Return a network's output at its source's size: see ``enlarging.upscale``."""
    if output.shape == source.shape:
        return output
    made = enlarged(tensor_pictures, _uploaded(output, device), _uploaded(source, device), mode, faults, share)[0]
    return _downloaded(made, output.dtype)


def upscale_stream_on(device: torch.device | str, output: np.ndarray, source: np.ndarray, mode: str) -> np.ndarray:
    """Return a network's output at its source's size, uint8: see ``luma.upscale_stream``."""
    x, frame = _uploaded(output, device), _uploaded(source, device)
    if mode == "bicubic":
        made = tensor_pictures.enlarge(x, tensor_pictures.size_of(frame)).clamp(0, 1)
    else:
        made = enlarged_by_luma(tensor_pictures, x, tensor_pictures.luma(frame))
    return _downloaded(made[0], output.dtype)


def _downloaded(picture: Tensor, dtype: np.dtype[np.generic]) -> np.ndarray:
    """Return a picture, (3, H, W) from 0 to 1 on any device, as (H, W, 3) of a type."""
    on_host = picture.permute(1, 2, 0)
    if dtype == np.float32:
        return on_host.cpu().numpy()
    kind = torch.uint8 if dtype == np.uint8 else torch.int32  # torch computes little in uint16
    most = np.iinfo(dtype).max  # type: ignore[type-var]
    levels = (on_host * most).round().to(kind)
    return levels.contiguous().cpu().numpy().astype(dtype, copy=False)


def _uploaded(picture: np.ndarray, device: torch.device | str) -> Tensor:
    """Return a picture of any type as (1, 3, H, W) float32 from 0 to 1, on the device."""
    most = 1 if picture.dtype == np.float32 else np.iinfo(picture.dtype).max
    wide = picture.astype(np.int32) if picture.dtype == np.uint16 else picture
    on_device = torch.from_numpy(np.ascontiguousarray(wide)).to(device)
    return on_device.permute(2, 0, 1)[None].to(torch.float32) / most
