"""Checks before a run: number of steps, time and disk use, operators that this machine computes wrongly, ``--from``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

import vidtrans
from vidtrans.core.costs import count, estimate
from vidtrans.core.errors import DeviceError
from vidtrans.core.files import digest_of, read_small_json, write_json
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.data.loading import CACHE_BYTES, TrainingBatch
from vidtrans.inference.engine import wrong_products_warning
from vidtrans.inference.operator_checks import find_wrong_operators
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.inference.user_cache import cached_check
from vidtrans.metrics.picture_quality import l1_distance
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.model_file import load_generator
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.networks.init import inner_generator
from vidtrans.pairing.pairing_records import pairing_record
from vidtrans.session import Context
from vidtrans.store.stages import TrainStage
from vidtrans.training.batch_upload import DeviceBatch
from vidtrans.training.feedback import FLOW_BYTES, FLOW_CACHE_BYTES
from vidtrans.training.loop import StepCost, TimeBudget, TrainingState, Trial, mean_cost, take_step
from vidtrans.training.set_up import TrainingSetup
from vidtrans.training.validation import pick_evenly, render_pair
from vidtrans.video.images.picture import picture_size, read_picture

if TYPE_CHECKING:
    from vidtrans.training.set_up import TrainingSetup

WARM_UP = 2  # Number of steps of a trial before the measured steps.
# A longer trial is not worthwhile, as the rate depends on the machine's other load and is measured again in the run.
# Duration of a trial in seconds, and the (minimum, maximum) of its number of steps.
TRIAL_S, TRIAL_STEPS = 2.0, (4, 60)
TRIAL = "trial"  # The message by which the main process tells all others to time steps, before the run is planned.
# Maximum number of pairs on which the likeness of a model's outputs to the targets is measured.
MAX_LIKENESS_PAIRS = 12
MAX_COMPARED_PICTURES = 200  # Maximum number of pictures in the calculation of the effective number.
THUMBNAIL_SIDE_PX = 16  # Side in pixels of the thumbnails in the calculation of the effective number.
KERNEL_WIDTH = 0.05  # RMS difference, for values from 0 to 1, from which two thumbnails count as distinct pictures.
MIN_DISTINCT_PICTURES = 12.0  # Effective number of pictures below which a dataset has few pictures.
# Minimum ``likeness``, before the training, at which new pictures count as similar to those of the ``--from`` model.
MIN_LIKENESS = 0.5
FIRST_MODULES = ("stem", "entrance", "begin", "down")  # Modules of generators that detect edges and textures.


def find_budget(setup: TrainingSetup, minutes: float, request: str, at_most: int | None = None) -> TimeBudget:
    """Return a time budget of ``minutes``, with at most ``at_most`` steps, from a short trial of the steps' duration.

    The trial is made once per ``request``, the digest of the training request, and cached.
    """
    context = setup.context
    if (cached := cached_budget(context, minutes, request, at_most)) is not None:
        return cached
    budget_file = _budget_file(context, request)
    if budget_file.exists():
        context.note(
            f"the cached number of steps in {count(minutes, 'minute')} is damaged; it is measured again", "warning"
        )
    setup.dist.broadcast(TRIAL)
    context.note(f"measuring how many steps fit in {count(minutes, 'minute')}")
    context.begin("taking a few steps")
    budget = TimeBudget(60 * minutes, step_costs(setup.make_state(Path(), 1)), at_most)
    if budget.steps == at_most:
        context.note(f"limited to {count(at_most, 'step')}, which fit in {count(minutes, 'minute')} here")
    else:
        context.note(f"{count(minutes, 'minute')}: about {count(budget.steps, 'step')} here")
    if not context.dry_run:
        context.cache.prepare()
        costs = [[cost.start, cost.end, cost.seconds] for cost in budget.costs]
        write_json(budget_file, {"costs": costs, "sha256": digest_of([request, costs])})
    return budget


def cached_budget(context: Context, minutes: float, request: str, at_most: int | None = None) -> TimeBudget | None:
    """Return the time budget that was measured earlier for the digest ``request``; None if there is none."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        value = read_small_json(_budget_file(context, request))
        if value["sha256"] == digest_of([request, value["costs"]]):
            return TimeBudget(60 * minutes, [StepCost(*map(float, cost)) for cost in value["costs"]], at_most)
    return None


def _budget_file(context: Context, request: str) -> Path:
    """Return the path of the measured budget for the digest ``request``."""
    return context.cache.root / "resolved" / f"{request}.json"


def estimate_training(setup: TrainingSetup, total: int) -> Table:
    """Return the time, disk use, memory and rate of ``total`` steps, estimated by a short trial that writes nothing."""
    run = setup.make_state(Path(), 1)
    step_seconds = seconds_per_step(run)
    seconds = step_seconds * total
    weights = _num_bytes(run.model.trained_generator.state_dict())
    # Two checkpoints exist while one replaces the other; the finished model needs space in addition.
    cache = 2 * _num_bytes(run.model.state()) + weights
    width, height = run.loader.crop
    memory = min(CACHE_BYTES, 3 * width * height * len(setup.dataset.pair_names()))
    if setup.memory:
        flows = FLOW_BYTES * width * height * len(setup.pairs)
        memory += min(FLOW_CACHE_BYTES, flows)
    rate = setup.settings.batch_size / step_seconds
    return estimate(seconds, weights, cache, memory) | {"pictures_per_second": round(rate, 2)}


def make_untrained_model(setup: TrainingSetup, output: Path, size: int) -> tuple[LoadedModel, TorchEngine]:
    """Return an untrained model like the run's, with its engine, to time renders; ``size``: short side in pixels."""
    record = ModelRecord(
        generator={"name": setup.generator_name, "settings": setup.generator_table},
        pairing=setup.dataset.pairing_table,
        in_channels=setup.pairing.in_channels,
        out_channels=3,
        size=size,
        normalisation=NORMALISATION,
        training={},
        card={},
        memory=setup.memory,
    )
    return LoadedModel(output, "", output.stem, record), TorchEngine(setup.build(), setup.device)


def _num_bytes(state: object) -> int:
    """Return the number of bytes of all tensors in a nested state."""
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    values = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return sum(map(_num_bytes, values))


def wrong_operators(setup: TrainingSetup) -> list[str]:
    """Return the operators that must be computed in fp32, because this machine computes them wrongly in bf16 or fp16.

    They are found by steps on noise at each picture size, with temporary networks; see ``inference.operator_checks``.
    Without a test, the list is empty for fp32, tf32 and distributed runs.
    """
    if setup.precision not in ("bf16", "fp16") or setup.dist.size > 1:
        return []
    table = {k: v for k, v in setup.settings.for_key().items() if k not in ("steps", "compile")}
    networks = [setup.generator_name, setup.generator_table, setup.discriminator_name, setup.discriminator_table]
    versions, size = [vidtrans.__version__, TrainStage.id(), setup.precision], _smallest_picture(setup)
    key = [networks, table, size, pairing_record(setup.pairing), versions]

    def find() -> list[str]:
        """Compare the operators of steps on noise with fp32; return the names of the wrong ones."""
        setup.context.begin(f"comparing operators in {setup.precision} with fp32")
        settings = replace(setup.settings, compile=False)  # The operators of a compiled network cannot be observed.
        noise = TrainingSetup(setup.dataset, setup.recipe, settings, setup.start, setup.context, size)
        return find_wrong_operators(lambda: try_steps(noise.make_state(Path(), 1)), setup.device)

    try:
        wrong = cached_check(key, setup.device, find)
    except DeviceError:  # The comparison needs more memory than a step; the run itself reports a lack of memory.
        return []
    if wrong:
        setup.context.warn_once(wrong_products_warning(wrong, setup.precision))
    return wrong


def _smallest_picture(setup: TrainingSetup) -> tuple[int, int]:
    """Return the smallest width and the smallest height of all training pictures, in pixels."""
    if setup.picture_size is not None:
        return setup.picture_size
    widths, heights = zip(*{picture_size(pair.target) for pair in setup.targets}, strict=True)
    return min(widths), min(heights)


def seconds_per_step(run: TrainingState) -> float:
    """Return the mean duration of a training step over the run, in seconds, see ``step_costs``."""
    return mean_cost(step_costs(run))


def step_costs(run: TrainingState) -> list[StepCost]:
    """Measure the duration of a step in each span of the run, by a short trial that changes ``run``.

    A span has one picture size and one set of losses. Each picture size is timed before and after ``turning_point``,
    where a step's duration changes. All processes must call this function together; the durations are means over the
    processes.
    """
    turn, growth, costs = run.model.turning_point, run.loader.growth, []
    for start, end, alone in growth.parts():
        run.loader.growth = alone
        middle = max(start, min(end, turn))
        spans = [span for span in ((start, middle, 0.0), (middle, end, 1.0)) if span[0] < span[1]]
        seconds = run.model.dist.mean(_seconds_at_one_size(run, [progress for *_, progress in spans]))
        costs += [StepCost(*span[:2], duration) for span, duration in zip(spans, seconds, strict=True)]
    run.loader.growth = growth
    return costs


def try_steps(run: TrainingState) -> None:
    """Take one or two steps at each picture size: with the losses of the run's end, and of its start if they differ."""
    for _, _, alone in run.loader.growth.parts():
        run.loader.growth = alone
        batches = enumerate(run.batches(0, 2))
        for progress in (0.0, 1.0) if run.model.turning_point else (1.0,):
            _time_step(run, batches, progress)


def _seconds_at_one_size(run: TrainingState, progresses: Sequence[float]) -> list[float]:
    """Measure a step's duration in seconds with the losses at each of ``progresses`` (0: start of the run, 1: end)."""
    batches = enumerate(run.batches(0, WARM_UP + len(progresses) * TRIAL_STEPS[1]))
    for _ in range(WARM_UP):
        seconds = _time_step(run, batches, 1.0)
    fits = TRIAL_S / max(seconds, 1e-4)
    number = round(run.model.dist.mean([min(max(fits, TRIAL_STEPS[0]), TRIAL_STEPS[1])])[0])
    return [statistics.median(_time_step(run, batches, progress) for _ in range(number)) for progress in progresses]


def _time_step(
    run: TrainingState, batches: Iterator[tuple[int, TrainingBatch | DeviceBatch]], progress: float
) -> float:
    """Take a step of ``run`` as at the completed share ``progress``; return its duration in seconds.

    The duration includes the wait for the next of ``batches``.
    """
    began = time.perf_counter()
    step, batch = next(batches)
    take_step(run, batch, Trial(step, progress))
    return time.perf_counter() - began


def transfer(setup: TrainingSetup, total: int) -> Table:
    """Return ``{"transfer": …}`` for a run with ``--from``: which settings suit the new pictures, and why.

    The advice names the modules to train in the four cases of transfer learning (Yosinski et al., "How transferable
    are features in deep neural networks?", NIPS 2014), decided by two measures: the effective number of distinct
    pictures, and the likeness of the model's outputs for the new pairs before any training. Thresholds and advice were
    chosen on fine-tunings of small models on clips, where freezing helped only for similar pictures.

    {} if outputs cannot be compared with targets: without ``--from``, for unpaired domains, label maps, plates and
    models with a history. Raises ModelError.
    """
    has_plate = setup.settings.background_plate
    is_special = setup.dataset.domains or setup.pairing.class_colours or has_plate or setup.memory
    if setup.start is None or is_special or not setup.pairing.has_target:
        return {}
    generator, _ = load_generator(setup.start)
    engine = TorchEngine(generator, setup.device)
    model_likeness = likeness(
        render_pair(engine, setup.pairing, pair)[1:] for pair in pick_evenly(setup.pairs, MAX_LIKENESS_PAIRS)
    )
    distinct = effective_number(setup.pairs)
    names = [name for name, _ in inner_generator(generator).named_children()]
    first = [name for name in names if name in FIRST_MODULES]
    return {
        "transfer": {"distinct": round(distinct, 1), "likeness": round(model_likeness, 3)}
        | transfer_advice(distinct, model_likeness, first, setup.settings.lr, total)
    }


def transfer_advice(distinct: float, model_likeness: float, first: list[str], lr: float, total: int) -> Table:
    """Return the recommended settings and number of steps, with a reason, for a training with ``--from``.

    ``distinct``: see ``effective_number``. ``model_likeness``: see ``likeness``. ``first``: modules that may be frozen.
    ``lr``, ``total``: learning rate and number of steps of the planned run.
    """
    is_few, is_similar = distinct < MIN_DISTINCT_PICTURES, model_likeness > MIN_LIKENESS
    settings: Table = {"training.lr": lr / 2} if is_similar else {}
    if is_similar:
        steps = total // 4 if is_few else total // 2
        if is_few and first:
            settings = {"training.freeze": first} | settings
            why = "few pictures like its own: keep its first layers and train the others, briefly"
        else:
            why = "many pictures like its own: train all of it, gently" if not is_few else "few pictures: train briefly"
    elif is_few:
        steps, why = total // 2, "few pictures unlike its own: train all of it; more pictures would help most"
    else:
        steps, why = total, "many pictures unlike its own: train all of it; its weights only save some steps"
    return {"advice": why, "settings": settings, "steps": max(steps, 1)}


def likeness(pictures: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return how like the targets a model's outputs are: 1 for equal, 0 for no better than pictures of one colour.

    It is below 0 for worse outputs. The one colour is the target's median. ``pictures``: (output, target), (H, W, 3)
    uint8 each.
    """
    errors = []
    for output, target in pictures:
        flat = np.broadcast_to(np.median(target, (0, 1)).astype(np.uint8), target.shape)
        errors.append((l1_distance(output, target), l1_distance(flat, target)))
    output_error, flat_error = np.mean(errors, 0)
    return float(1 - output_error / max(flat_error, 1e-6))


def effective_number(pairs: list[Pair]) -> float:
    """Return how many distinct pictures the targets amount to: 1 if all are equal, at most ``MAX_COMPARED_PICTURES``.

    The exponential of the entropy of the eigenvalues of a Gaussian kernel of thumbnails (Friedman and Dieng, "The Vendi
    Score", TMLR 2023).
    """
    size = (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
    pictures = [read_picture(pair.target) for pair in pick_evenly(pairs, MAX_COMPARED_PICTURES)]
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(float) / 255 for picture in pictures]
    values = np.stack(small).reshape(len(small), -1)
    squares = (values**2).sum(1)
    distances = (squares[:, None] + squares - 2 * values @ values.T).clip(0) / values.shape[1]
    shares = np.linalg.eigvalsh(np.exp(-distances / (2 * KERNEL_WIDTH**2)) / len(values)).clip(1e-12)
    return float(np.exp(-(shares * np.log(shares)).sum()))
