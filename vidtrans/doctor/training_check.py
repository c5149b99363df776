"""Training check: compare the weights of an interrupted and resumed training with those of an uninterrupted one.

The weights must be bit-identical. The loop of ``train`` runs with its checkpoint on disk, in the ``auto`` precision.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Event, Progress, Stop, silent
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.data.loading import Loader
from vidtrans.doctor import Checks, Verdict
from vidtrans.doctor.subject import Subject, frames, make_generator
from vidtrans.networks.init import build_discriminator, initialise
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.training import METHODS
from vidtrans.training.loop import TrainingLoop, TrainingState
from vidtrans.training.methods.network_trainer import resolve_precisions
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import write_picture

PAIRING = "denoise"  # a pairing whose input has three channels, like that of the synthetic generator
PICTURES, BATCH = 8, 4


def training_checks(subject: Subject) -> Checks:
    """Return the single check function, by its name."""
    return {"resume": partial(_check, subject)}


def make_training(subject: Subject, folder: Path, steps: int, side: int) -> TrainingState:
    """Return a small training at step 0 on a synthetic clip. Its pictures and checkpoints are written to ``folder``."""
    precision = resolve_precisions("auto", subject.device)[0]
    pairing = make_pairing(PAIRING, {})
    settings = TrainingSettings.of(steps=steps, batch_size=BATCH, crop_size=side, checkpoint_seconds=1e9)
    discriminator = build_discriminator("patchgan", {"num_layers": 1, "channels": 16}, 6)
    initialise(discriminator, 1)
    generator = make_generator()
    loader = Loader(
        _pairs(folder, side),
        pairing,
        batch=BATCH,
        seed=0,
        multiple=generator.multiple,
        crop=side,
        jitter=settings.jitter,
        flip=True,
        whole=subject.device.kind == "cuda",
    )
    model = METHODS.load(settings.method)(generator, discriminator, settings, subject.device, precision)
    return TrainingState(folder, model, loader, 0, [steps], picture_channels=3, device=subject.device)


def _pairs(folder: Path, side: int) -> list[Pair]:
    paths = [folder / f"{number:06}.png" for number in range(PICTURES)]
    folder.mkdir(parents=True, exist_ok=True)
    for path, picture in zip(paths, frames(side, PICTURES), strict=True):
        write_picture(path, picture)
    return [Pair((path,), path, "train", place=number) for number, path in enumerate(paths)]


def _check(subject: Subject) -> Verdict:
    steps = subject.scale.training_steps
    whole = make_training(subject, subject.folder / "whole", steps, subject.scale.training_side)
    TrainingLoop(whole, silent, Stop()).train()
    resumed, stopped_at = _stopped_and_resumed(subject, steps)
    unequal, model = differing(whole, resumed), method_of(whole)
    graph = graph_use(model)
    figures: Table = {"steps": steps, "stopped_at": stopped_at, "equal": not unequal, "graph": graph}
    figures |= {"precision": model.precision, "nondeterministic": sorted(model.nondeterministic)}
    detail = f"{steps} steps in {figures['precision']}, one run stopped after {stopped_at} and resumed:"
    if unequal:
        return Verdict("wrong", f"{detail} NOT the same weights ({len(unequal)} differ, {unequal[0]} first)", figures)
    replay = {"": "", "replayed": "; steps are replayed as a CUDA graph"}.get(graph, f"; no CUDA graph: {graph}")
    return Verdict("ok" if graph in ("", "replayed") else "note", f"{detail} the same weights{replay}", figures)


def _stopped_and_resumed(subject: Subject, steps: int) -> tuple[TrainingState, int]:
    """Return a training, stopped half-way and resumed in new networks, at step ``steps``, and the step of the stop."""
    stop, folder = Stop(), subject.folder / "resumed"

    def stop_half_way(event: Event) -> None:
        if isinstance(event, Progress) and event.done == steps // 2:
            stop.request(130)

    first = make_training(subject, folder, steps, subject.scale.training_side)
    try:
        TrainingLoop(first, stop_half_way, stop).train()
    except Interrupted:
        pass
    else:
        raise RuntimeError("the training did not stop when it was asked to")
    second = make_training(subject, folder, steps, subject.scale.training_side)
    if not second.load(silent):
        raise RuntimeError("the training left no checkpoint")
    stopped_at = second.step
    TrainingLoop(second, silent, Stop()).train()
    return second, stopped_at


def differing(one: TrainingState, other: TrainingState) -> list[str]:
    """Return the names of the weights that are not bit-identical, and 'losses' if the recorded losses differ."""
    names = []
    for network, module in one.model.networks.items():
        others = other.model.networks[network].state_dict()
        names += [f"{network}.{n}" for n, w in module.state_dict().items() if not torch.equal(w, others[n])]
    return names + (["losses"] if one.rows != other.rows else [])


def method_of(run: TrainingState) -> Any:  # noqa: ANN401  (more than every method has: precision, captured)
    """Return the training method of a run that ``make_training`` made."""
    return run.model


def graph_use(model: Any) -> str:  # noqa: ANN401  (the default method)
    """Return 'replayed' if steps were replayed as a CUDA graph, '' off CUDA, or the reason why they were not."""
    if model.captured is None:
        return "" if model.device.kind != "cuda" else "it is off"
    return "replayed" if model.captured.is_replaying else model.captured.refusal or "too few steps"
