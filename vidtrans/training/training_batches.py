"""Pairs and batches of a training run: checks per method, unpaired batches, clocks and rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.data.augment import crop_size
from vidtrans.data.clip_memory import MemoryPlan
from vidtrans.data.dataset import Dataset, Pair
from vidtrans.data.loading import Batches, Loader, UnpairedLoader, UnpairedNoise
from vidtrans.flow.history import METHOD
from vidtrans.networks import GENERATORS
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.next_frame import CHANNELS, NextFrame
from vidtrans.session import Context
from vidtrans.training.device.distributed import DistContext
from vidtrans.training.feedback.recurrent_feedback import RecurrentFeedback
from vidtrans.training.feedback.rollout_pool import NextFrameFeedback, RolloutPool
from vidtrans.training.methods.base import TrainingMethod
from vidtrans.training.settings import TrainingSettings

OF_PICTURES = ("background_plate", "motion_weight", "colour_rebalancing", "recurrent", "rollout_fraction")
NEEDS_TARGETS = ("background_plate", "motion_weight", "colour_rebalancing", "rollout_fraction")


def check_method(method: type[TrainingMethod], settings: TrainingSettings, dataset: Dataset) -> None:
    """Raise UsageError if the method or a setting does not suit the dataset: its pairs, domains or classes."""
    what = f"training.method={settings.method}"
    for other in ("background_plate", "recurrent") if method.code_size(settings) else ():
        if getattr(settings, other):
            why = f"training.method = '{settings.method}' makes a model of many looks, which cannot use it"
            raise UsageError(f"training.{other}", why, f"leave it out: --set training.{other}=false")
    _check_camera(settings, dataset.pairing)
    if not dataset.domains:
        _check_classes(method, settings, dataset.pairing, what)
        if method.unpaired:
            why = f"it learns from domains without pairs, and this dataset has pairs ('{dataset.pairing.name}')"
            raise UsageError(what, why, "make the dataset with --unpaired, or choose another --preset")
        return
    if not method.unpaired:
        why = f"it learns from pairs, and this dataset has domains without any ({', '.join(dataset.domains)})"
        raise UsageError(what, why, "use --preset unpaired")
    for name in NEEDS_TARGETS:
        if getattr(settings, name):
            why = "it needs a target for each frame, and an unpaired dataset has none"
            raise UsageError(f"training.{name}", why, "leave it out")


def _check_camera(settings: TrainingSettings, pairing: Pairing) -> None:
    """Raise UsageError if a camera is to move where no frames follow each other, or without a window."""
    if not settings.camera:
        return
    if not isinstance(pairing, NextFrame):
        why = f"it moves over frames that follow each other, and the pairing is '{pairing.name}'"
        raise UsageError("training.camera", why, "leave it out, or make the dataset with --pairing next-frame")
    if settings.crop_size is None or settings.jitter != 1 or settings.zoom_range != 1 or settings.flip:
        why = "it needs a window, of training.crop_size, on frames that are neither enlarged nor mirrored"
        raise UsageError(
            "training.camera", why, "set crop_size, jitter=1, zoom_range=1 and flip=false, as preset roam does"
        )


def _check_classes(method: type[TrainingMethod], settings: TrainingSettings, pairing: Pairing, what: str) -> None:
    """Raise UsageError if the target has classes and the method or a setting is for pictures, or the reverse."""
    if method.for_classes == (pairing.class_colours is None):
        kind = "pictures" if method.for_classes else "label maps"
        why = f"the targets of pairing '{pairing.name}' are {kind}"
        raise UsageError(what, why, f"use --set training.method={'pix2pix' if method.for_classes else 'classes'}")
    for name in OF_PICTURES if method.for_classes else ():
        if getattr(settings, name):
            raise UsageError(
                f"training.{name}", "it is for targets that are pictures, and these are label maps", "leave it out"
            )


def unpaired_batches(
    dataset: Dataset,
    settings: TrainingSettings,
    num_frames: int,
    seed: int,
    multiple: int,
    share: range,
    picture_size: tuple[int, int] | None,
) -> Batches:
    """Return the batches of a dataset of domains; noise of ``picture_size`` if it is only planned.

    Raises UsageError, MediaError; see ``UnpairedLoader``.
    """
    if picture_size is not None:
        size = crop_size([picture_size], settings.crop_size, multiple)
        return UnpairedNoise(size, batch=settings.batch_size, num_frames=num_frames)
    return UnpairedLoader(
        dataset.role("train"),
        dataset.domains,
        batch=settings.batch_size,
        seed=seed,
        multiple=multiple,
        num_frames=num_frames,
        crop=settings.crop_size,
        jitter=settings.jitter,
        flip=settings.flip,
        zoom_range=settings.zoom_range,
        share=share,
    )


def longest_shot(dataset: Dataset, context: Context) -> list[Pair]:
    """Return the training pairs of the longest shot: the time encoding does not distinguish shots."""
    shots: dict[tuple[int, int], list[Pair]] = {}
    for pair in dataset.role("train"):
        shots.setdefault(pair.shot, []).append(pair)
    if len(shots) > 1:
        context.note(f"the clock covers one shot: only the longest of {len(shots)} shots is used")
    return max(shots.values(), key=len, default=[])


def fit_pairing(dataset: Dataset, generator: str, table: Table) -> Dataset:
    """Return the dataset, without positions of the most alike frames if the generator keeps no frames to point to."""
    if not dataset.pairing.is_told or dataset.pairing.has_clock or _kept_frames(generator, table):
        return dataset
    settings = dataset.pairing_table["settings"] | {"position": "none"}
    return replace(dataset, pairing_table=dataset.pairing_table | {"settings": settings})


def _kept_frames(generator: str, table: Table) -> int:
    """Return how many frames of its clip a generator keeps at most."""
    known = {f.name for f in fields(GENERATORS.load(generator).Settings)}
    wanted = table.get("memory_frames", 0) if "memory_frames" in known else 0
    return wanted if isinstance(wanted, int) else 0  # another value is refused with the other settings


def fit_memory(
    generator: str, table: Table, pairing: Pairing, pairs: Sequence[Pair], size: tuple[int, int] | None
) -> MemoryPlan | None:
    """Set what a dataset decides in a generator's ``table``: its told channels, and the frames that it keeps.

    Returns what it keeps; None for nothing. ``size``: the (width, height) of pictures that do not exist yet. Raises
    UsageError if another number of channels is set.
    """
    known = {f.name for f in fields(GENERATORS.load(generator).Settings)}
    if "told_channels" in known:
        channels = CHANNELS if pairing.is_told else 0
        if (given := table.setdefault("told_channels", channels)) != channels:
            why = f"the pairing of this dataset tells {channels} channels"
            raise UsageError(f"generator.told_channels={given}", why, "leave it out")
    wanted = _kept_frames(generator, table)
    if not wanted or not pairing.is_told or not pairs:
        return None
    plan = MemoryPlan.of(pairs, wanted, pairing, size)
    table["memory_frames"], table["memory_size"] = len(plan.files), list(plan.size)
    return plan


def rollout_pool(
    loader: Batches, pairing: Pairing, settings: TrainingSettings, dist: DistContext
) -> RolloutPool | None:
    """Return the rollout pool if the settings use one; None in a trial with noise. Raises UsageError.

    Methods without pairs feed back outputs themselves, and have none.
    """
    if not settings.own_output_fraction:
        return None
    if settings.recurrent and isinstance(pairing, NextFrame):
        why = "pairing 'next-frame' trains on its own outputs by training.rollout_fraction instead"
        raise UsageError("training.recurrent", why, "use --set training.rollout_fraction=0.5")
    if settings.rollout_fraction and not isinstance(pairing, NextFrame):
        why = f"pairing '{pairing.name}' does not feed outputs back as inputs"
        remedy = "leave it out, or train on a dataset made with --pairing next-frame"
        raise UsageError("training.rollout_fraction", why, remedy)
    if dist.size > 1:
        name, off = ("recurrent", "false") if settings.recurrent else ("rollout_fraction", "0")
        why = "rollouts are not supported with several processes"
        raise UsageError(f"training.{name}", why, f"train in one process, or with --set training.{name}={off}")
    if not isinstance(loader, Loader):
        return None
    if isinstance(pairing, NextFrame):
        return RolloutPool(loader, NextFrameFeedback(pairing.settings.context_frames), settings)
    return RolloutPool(loader, RecurrentFeedback(loader, METHOD, settings.synthetic_motion_fraction), settings)
