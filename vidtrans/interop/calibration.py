"""Calibrate batch norms: set their running statistics to the statistics of a whole clip, for use in all frames.

With the statistics of each single picture, as the authors of pix2pix render, a local change affects the whole output,
which flickers. The running statistics from training are those of other pictures and of earlier weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from vidtrans.inference.torch_engine import pad_by_mirroring
from vidtrans.networks.layers import PictureNorm


def calibrate(generator: Any, inputs: np.ndarray) -> None:  # noqa: ANN401  (a generator)
    """Set the running statistics of a generator's batch norms to the statistics of all ``inputs``, in place.

    Args:
        generator: A generator (see ``networks``) in eval mode.
        inputs: The generator's inputs, (N, H, W, C) uint8.
    """
    x = torch.from_numpy(inputs).permute(0, 3, 1, 2).float() / 127.5 - 1
    norms = [m for m in generator.modules() if isinstance(m, PictureNorm | nn.BatchNorm2d)]
    handles = [norm.register_forward_hook(_use_batch_statistics) for norm in norms]
    try:
        with torch.no_grad():
            generator(pad_by_mirroring(x, generator.multiple))
    finally:
        for handle in handles:
            handle.remove()


def _use_batch_statistics(norm: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    """Set the running statistics of ``norm`` to those of its input, and return its output with them; a forward hook.

    ``inputs``: the input (N, C, H, W) as a tuple; ``output``: the norm's own output, which is replaced.
    """
    assert isinstance(norm, PictureNorm | nn.BatchNorm2d)
    (x,) = inputs
    variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
    norm.running_mean, norm.running_var = mean, variance
    return nn.functional.batch_norm(x, mean, variance, norm.weight, norm.bias, False, 0.0, norm.eps)
