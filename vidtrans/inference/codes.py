"""Encode a picture's style with the encoder of a multi-style generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


@torch.no_grad()
def encode_style(encoder: Any, picture: np.ndarray) -> np.ndarray:  # noqa: ANN401  (a ``PictureEncoder``)
    """Return the style code, (size,) float64, of a picture (H, W, 3) uint8 at the training size of the model.

    The code is computed in float32 on the encoder's device, whatever the precision of the engine.
    """
    weight = next(encoder.parameters())
    planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].to(weight.device)
    code: np.ndarray = encoder(planes.to(weight.dtype) / 127.5 - 1)[0].double().cpu().numpy()
    return code
