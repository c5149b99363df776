"""What a training run would cost, and what its model would cost to render, before there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vidtrans.data.loading import CACHE_BYTES
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.loaded_model import Look
from vidtrans.models.model_record import ModelRecord
from vidtrans.rendering.cost import estimate
from vidtrans.settings import Table
from vidtrans.training.feedback import recurrent_feedback as own_past
from vidtrans.training.trainer import seconds_per_step
from vidtrans.training.training_job import NORMALISATION, TrainingJob


def estimate_training(job: TrainingJob, total: int) -> Table:
    """Time, disk and memory that ``total`` steps take, from a short trial."""
    run = job.make_run(Path(), 1)
    seconds = seconds_per_step(run) * total
    weights = _num_bytes(run.model.learned.state_dict())
    # The new checkpoint is written before the old one goes, and the finished model is kept beside it.
    cache = 2 * _num_bytes(run.model.state()) + weights
    width, height = run.loader.crop
    held = min(CACHE_BYTES, 3 * width * height * len(job.dataset.names()))
    if job.memory:
        held += min(own_past.CACHE_BYTES, own_past.TRAIL_BYTES * width * height * len(job.pairs))
    return estimate(seconds, weights, cache, held)


def untrained(job: TrainingJob, output: Path, size: int) -> tuple[Look, TorchEngine]:
    """Return an untrained model like the job's, at ``size``: it costs as much to render."""
    record = ModelRecord(
        generator={"name": job.generator_name, "settings": job.generator_table},
        pairing=job.dataset.pairing_table,
        in_channels=job.pairing.in_channels,
        out_channels=3,
        size=size,
        normalisation=NORMALISATION,
        training={},
        card={},
        memory=job.memory,
    )
    return Look(output, "", output.stem, record), TorchEngine(job.build(), job.device)


def _num_bytes(state: Any) -> int:
    """Of all tensors in a nested state."""
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    values = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return sum(map(_num_bytes, values))
