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
    most = 1 if output.dtype == np.float32 else np.iinfo(output.dtype).max
    levels = made.permute(1, 2, 0) * most
    if output.dtype == np.float32:
        return levels.cpu().numpy()
    kind = torch.uint8 if output.dtype == np.uint8 else torch.int32  # torch computes little in uint16
    return levels.round().to(kind).contiguous().cpu().numpy().astype(output.dtype, copy=False)


def upscale_stream_on(device: torch.device | str, output: np.ndarray, source: np.ndarray, mode: str) -> np.ndarray:
    """Return a network's output at its source's size, uint8: see ``luma.upscale_stream``."""
    x, frame = _uploaded(output, device), _uploaded(source, device)
    if mode == "bicubic":
        made = tensor_pictures.enlarge(x, tensor_pictures.size_of(frame)).clamp(0, 1)
    else:
        made = enlarged_by_luma(tensor_pictures, x, tensor_pictures.luma(frame))
    return (made[0].permute(1, 2, 0) * 255).round().to(torch.uint8).contiguous().cpu().numpy()


def _uploaded(picture: np.ndarray, device: torch.device | str) -> Tensor:
    """Return a picture of any type as (1, 3, H, W) float32 from 0 to 1, on the device."""
    most = 1 if picture.dtype == np.float32 else np.iinfo(picture.dtype).max
    wide = picture.astype(np.int32) if picture.dtype == np.uint16 else picture
    on_device = torch.from_numpy(np.ascontiguousarray(wide)).to(device)
    return on_device.permute(2, 0, 1)[None].to(torch.float32) / most
