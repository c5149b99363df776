"""Timing trials before a run: its number of steps, its cost, and that of rendering with its model."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch

from vidtrans.core.costs import estimate
from vidtrans.core.files import digest_of, read_small_json, write_json
from vidtrans.core.settings import Table
from vidtrans.data.loading import CACHE_BYTES
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.training.feedback import recurrent_feedback
from vidtrans.training.step_rates import seconds_per_step, steps_for
from vidtrans.training.training_job import TrainingJob

TRIAL = "trial"  # broadcast by the main process to time steps in all processes, before the plan of the run


def find_steps(job: TrainingJob, minutes: float, request: str, at_most: int | None = None) -> int:
    """Return the steps that fit into ``--minutes``, measured once and recorded before the first step."""
    context = job.context
    memo = context.cache.root / "resolved" / f"{request}.json"
    if memo.exists():
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            value = read_small_json(memo)
            if value["sha256"] == digest_of([request, value["steps"]]):
                return int(value["steps"])
        context.note(f"what {minutes:g} minutes come to was damaged in the cache; measured again", "warning")
    job.dist.broadcast(TRIAL)
    steps = steps_for(job.make_run(Path(), 1), minutes)
    if at_most is not None and steps > at_most:
        steps = at_most
        context.note(f"{steps} steps, fewer than fit in {minutes:g} minutes here")
    else:
        context.note(f"{minutes:g} minutes are about {steps} steps here")
    if not context.dry_run:
        context.cache.prepare()
        write_json(memo, {"steps": steps, "sha256": digest_of([request, steps])})
    return steps


def estimate_training(job: TrainingJob, total: int) -> Table:
    """Return time, disk and memory that ``total`` steps take, and the rate, from a short trial that writes nothing."""
    run = job.make_run(Path(), 1)
    step_seconds = seconds_per_step(run)
    seconds = step_seconds * total
    weights = _num_bytes(run.model.learned.state_dict())
    # The new checkpoint is written before the old one is deleted, and the finished model is there too.
    cache = 2 * _num_bytes(run.model.state()) + weights
    width, height = run.loader.crop
    memory = min(CACHE_BYTES, 3 * width * height * len(job.dataset.names()))
    if job.memory:
        flows = recurrent_feedback.FLOW_BYTES * width * height * len(job.pairs)
        memory += min(recurrent_feedback.CACHE_BYTES, flows)
    rate = job.settings.batch_size / step_seconds
    return estimate(seconds, weights, cache, memory) | {"pictures_per_second": round(rate, 2)}


def untrained(job: TrainingJob, output: Path, size: int) -> tuple[LoadedModel, TorchEngine]:
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
    return LoadedModel(output, "", output.stem, record), TorchEngine(job.build(), job.device)


def _num_bytes(state: object) -> int:
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    values = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return sum(map(_num_bytes, values))
