"""Training runs that are made up: a tiny network, and batches of random numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vidtrans.data.loading import PictureGrowth, PictureScale, TrainingBatch
from vidtrans.inference.device import Device
from vidtrans.training.loop import TrainingState
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.settings import TrainingSettings

CPU = Device("cpu", "cpu")


class Numbers:
    """Batches that are made up."""

    crop = (8, 8)
    growth = PictureGrowth((PictureScale((8, 8)),))

    def make(self, step: int) -> TrainingBatch:
        x = np.random.default_rng(step).uniform(-1, 1, (2, 3, 8, 8)).astype(np.float32)
        return TrainingBatch(x, -x)

    def stream(self, first: int, stop: int) -> Any:
        return (self.make(step) for step in range(first, stop))


def run_of(folder: Path, total: int = 8, **settings: Any) -> TrainingState:
    torch.manual_seed(0)
    model = Pix2Pix(nn.Conv2d(3, 3, 1), None, TrainingSettings.of(lambda_gan=0.0, **settings), CPU, "fp32")
    return TrainingState(folder, model, Numbers(), 0, [total])  # type: ignore[arg-type]
