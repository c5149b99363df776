"""The set-up of a training run from dataset and recipe: checks, networks, batches, cache stage and initial state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.machine import use_huge_pages
from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import Table, to_table
from vidtrans.data.augment import crop_size
from vidtrans.data.background_plate import BackgroundPlate, find_motion_weights
from vidtrans.data.clip_memory import ClipMemory, MemoryPlan
from vidtrans.data.dataset import Dataset, Pair, check_sizes
from vidtrans.data.loading import (
    Batches,
    BatchPlan,
    Loader,
    NoiseLoader,
    PixelWeights,
    UnpairedLoader,
    UnpairedNoise,
    plan_growth,
    preserved_content_weights,
)
from vidtrans.flow.history import METHOD
from vidtrans.inference.device import resolve_device
from vidtrans.models.model_file import load_generator, read_record, with_reverse_model
from vidtrans.models.model_record import Card
from vidtrans.networks import DISCRIMINATORS, GENERATORS, UNTRAINED
from vidtrans.networks.hd import is_coarser, load_coarser
from vidtrans.networks.init import build_discriminator, build_generator, complete_settings, initialise, inner_generator
from vidtrans.networks.predicted_style import is_narrower, load_narrower
from vidtrans.networks.wrappers import ClassGenerator, CodedGenerator, RecurrentGenerator
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.next_frame import CHANNELS, NextFrame, picture_channels
from vidtrans.pairing.pairing_records import make_pairing, pairing_record
from vidtrans.rendering.scene import placeholder_plate, require_background_plate
from vidtrans.session import Context
from vidtrans.store.stages import TrainStage, libraries
from vidtrans.training import LOSSES, METHODS, plugins_in_use
from vidtrans.training.distributed import SINGLE_PROCESS, DistContext
from vidtrans.training.feedback import NextFrameFeedback, RecurrentFeedback, RolloutPool
from vidtrans.training.loop import TrainingState
from vidtrans.training.losses.rarity import rarity
from vidtrans.training.methods.base import TrainingMethod
from vidtrans.training.methods.network_trainer import resolve_precisions
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.validation import pick_evenly
from vidtrans.video.images.picture import read_picture

if TYPE_CHECKING:
    from vidtrans.training.unpaired_colours import ColourMaps

NORM_PICTURES = 64  # Maximum number of training pictures over which BatchNorm statistics are averaged.
CUDA_STEP_VERSION = 2  # Version of the augmentation and of the learning rate's rounding on a GPU, a part of cache keys.
# Settings that are only for targets that are pictures, not label maps.
PICTURES_ONLY = ("background_plate", "motion_weight", "colour_rebalancing", "recurrent", "rollout_fraction")
# Settings that need a target for each frame, so they are refused for unpaired datasets.
NEEDS_TARGETS = ("background_plate", "motion_weight", "colour_rebalancing", "rollout_fraction")
FRAME_MEMORY = "frame_memory."  # Part of the names of the weights that store the memorised frames of a clip.


class TrainingSetup:
    """The components of a training run, as they are before the first step.

    ``picture_size`` (width, height): set if the dataset is only planned; steps are then timed with noise. ``pairs``:
    the training pairs whose inputs the generator receives; for unpaired domains, the source frames.
    """

    def __init__(
        self,
        dataset: Dataset,
        recipe: Recipe,
        settings: TrainingSettings,
        start: Path | None,
        context: Context,
        picture_size: tuple[int, int] | None = None,
        dist: DistContext = SINGLE_PROCESS,
    ) -> None:
        use_huge_pages()
        self.recipe, self.start = recipe, start
        self.generator_name, self.generator_table = recipe.choice("generator")
        fitting = fit_pairing(dataset, self.generator_name, self.generator_table)
        self._drops_position = fitting is not dataset
        self.dataset = dataset = fitting
        self.context, self.picture_size, self.dist = context, picture_size, dist
        self.pairing = dataset.pairing
        self.pairs = longest_shot(dataset, context) if self.pairing.has_clock else dataset.inputs("train")
        if picture_size is None:
            check_sizes([*self.pairs, *dataset.role("val")])
        self.device = resolve_device(dist.device(context.device))
        self.settings = settings = settings.on(self.device.kind)
        check_method(self.method, settings, dataset)
        self.precision, self.render_precision = resolve_precisions(settings.precision, self.device)
        if settings.freeze and start is None:
            remedy = "give --from MODEL, or leave this setting out"
            raise UsageError("training.freeze", "there are no weights to keep without --from", remedy)
        if settings.tensorboard and find_spec("tensorboard") is None:
            remedy = "install it (pip install 'vidtrans[tensorboard]'), or leave this setting out"
            raise UsageError("training.tensorboard", "the package tensorboard is not installed", remedy)
        if settings.exports_best and not dataset.role("val"):
            remedy = "make the dataset with --set dataset.val_fraction=0.1, or leave this setting out"
            wanted = "patience" if settings.patience else "final_weights"
            raise UsageError(f"training.{wanted}", "the dataset has no held-out pairs to score", remedy)
        plan = fit_memory(self.generator_name, self.generator_table, self.pairing, self.pairs, picture_size)
        self.memory_plan = plan if picture_size is None else None
        if self.memory_plan and not self.pairing.has_clock:
            self.dataset = dataset = replace(dataset, pairs=tuple(self.memory_plan.pointed(dataset.pairs)))
            self.pairs = dataset.inputs("train")
        self.discriminator_name, self.discriminator_table = recipe.choice("discriminator")
        self.threads = torch.get_num_threads() if self.device.kind == "cpu" else 0

    @cached_property
    def plate(self) -> BackgroundPlate | None:
        """Return the background plate, if the settings use one. Raises MediaError if the camera moves."""
        if not self.settings.background_plate:
            return None
        if self.picture_size:
            return placeholder_plate(self.picture_size)
        return require_background_plate(self.dataset, self.pairs)

    @property
    def clip_memory(self) -> ClipMemory | None:
        """Return the frames of the clip that the model memorises; None if it memorises none. Raises MediaError."""
        return self.memory_plan.memory if self.memory_plan else None

    @property
    def memory(self) -> Table:
        """Return the model record's table ``memory``: a recurrent generator's optical-flow method; {} for others."""
        return {"flow": METHOD} if self.settings.recurrent else {}

    @property
    def targets(self) -> list[Pair]:
        """Return the training pairs whose targets show the styles to learn; for unpaired domains, the target frames."""
        return self.dataset.targets("train") if self.dataset.domains else self.pairs

    def build(self, *, reverse: bool = False) -> torch.nn.Module:
        """Build the generator with uninitialised weights; ``reverse``: from target to source, without style codes."""
        plate, name, table = self.plate, self.generator_name, self.generator_table
        size = (plate.picture.shape[1], plate.picture.shape[0]) if plate else None
        channels, recurrent = self.pairing.in_channels, self.settings.recurrent
        code = 0 if reverse else self.method.code_size(self.settings)
        classes = self.pairing.class_colours.table if self.pairing.class_colours else None
        generator: Any = build_generator(name, table, channels, 3, size, recurrent, code_size=code, classes=classes)
        if plate:
            generator.set_plate(plate.picture, plate.scene)
        if self.memory_plan:
            generator.frame_memory.take(*self.memory_plan.packed)
        return generator

    @property
    def method(self) -> type[TrainingMethod]:
        """Return the class of the training method."""
        found: type[TrainingMethod] = METHODS.load(self.settings.method)
        return found

    def make_state(self, folder: Path, total: int) -> TrainingState:
        """Return the state at step 0 of ``total``, with initialised networks; ``folder``: folder of the checkpoints."""
        method = self.method.make(self)
        loader = self._loader(method.networks["generator"].multiple)
        for kind, network in method.networks.items():
            if min(loader.crop) < network.smallest:
                raise UsageError(
                    f"training on {loader.crop[0]}x{loader.crop[1]} pixels",
                    f"this {kind} needs {network.smallest} pixels a side",
                    "train on larger pictures, raise training.crop_size, or take fewer layers",
                )
        settings = self.settings
        loader.growth = plan_growth(
            loader.crop,
            settings.grow_from,
            settings.grow_share,
            total,
            multiple=method.networks["generator"].multiple,
            smallest=max(network.smallest for network in method.networks.values()),
        )
        rollouts = None if self.dataset.domains else rollout_pool(loader, self.pairing, settings, self.dist)
        if self._drops_position:
            self.context.note(f"generator '{self.generator_name}' keeps no frames of the clip: it is told no position")
        return TrainingState(
            folder,
            method,
            loader,
            self.context.seed,
            [total],
            rollouts=rollouts,
            picture_channels=self._num_frames * picture_channels(self.pairing.in_channels, self.pairing.has_conditions),
            has_noise_level=self.pairing.has_conditions,
            device=self.device,
        )

    @property
    def in_channels(self) -> int:
        """Return the number of a generator's input channels, with 3 for a background plate, without a history's."""
        return self.pairing.in_channels + (3 if self.plate else 0)

    def make_generator(self, number: int = 0, *, reverse: bool = False) -> torch.nn.Module:
        """Build the recipe's generator, initialised or with the weights of ``--from``.

        ``number`` and ``reverse``: see ``methods.base.Setup``.
        """
        generator = self.build(reverse=reverse)
        self.initialise(generator, number)
        if self.picture_size is None and getattr(inner_generator(generator), "starts_with_colours", False):
            from vidtrans.training.unpaired_colours import start_with_colours

            start_with_colours(generator, self.colours, reverse=reverse)
        starts = with_reverse_model(self.start) if self.start else []
        for start in starts[1:] if reverse else starts[:1]:
            name, table, channels = self.generator_name, self.generator_table, self.pairing.in_channels
            start_with(generator, start, name, table, channels, plate=bool(self.plate))
        return generator

    @cached_property
    def colours(self) -> ColourMaps | None:
        """Return the colour maps to the target domain and back; None for paired or only planned datasets."""
        if not self.dataset.domains or self.picture_size is not None:
            return None
        from vidtrans.training.unpaired_colours import maps_between  # imports SciPy: a fifth of a second

        return maps_between(self.dataset)

    @property
    def recolour(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """Return the function that maps a frame to the target domain's colours, see ``methods.base.Setup``, or None."""
        return self.colours.forth.apply if self.colours else None

    def initialise(self, network: torch.nn.Module, number: int) -> None:
        """Initialise the weights of a network that the method has built; ``number``: added to the run's seed."""
        initialise(network, self.context.seed + number)

    def make_discriminator(self, channels: int, number: int) -> torch.nn.Module:
        """Build the recipe's discriminator for ``channels`` input channels; ``number``: added to the run's seed."""
        network: torch.nn.Module = build_discriminator(self.discriminator_name, self.discriminator_table, channels)
        self.initialise(network, number)
        return network

    def find_class_shares(self) -> torch.Tensor:
        """Return the share of each target class in the training pixels; equal shares for a planned dataset."""
        assert self.pairing.class_colours is not None, "``check_method`` has seen to it"
        pictures = (read_picture(pair.target) for pair in pick_evenly(self.pairs, NORM_PICTURES))
        return torch.from_numpy(self.pairing.class_colours.shares(() if self.picture_size else pictures))

    def find_rarity(self) -> torch.Tensor | None:
        """Return the rarity weights of colours in the training pictures; None if unused, or for a planned dataset."""
        if not self.settings.colour_rebalancing or self.picture_size is not None:
            return None
        return rarity(read_picture(pair.target) for pair in pick_evenly(self.pairs, NORM_PICTURES))

    @property
    def _num_frames(self) -> int:
        """Return the number of consecutive frames per example of unpaired domains; 1 for paired datasets."""
        return self.method.num_frames(self.settings) if self.dataset.domains else 1

    def _loader(self, multiple: int) -> Batches:
        """Return the source of training batches; its batches are noise if the dataset's pictures do not exist yet."""
        settings = self.settings
        if self.dataset.domains:
            return self._unpaired_batches(multiple)
        if self.picture_size is not None:
            size = crop_size([self.picture_size], settings.crop_size, multiple)
            plate, recurrent = settings.background_plate, settings.recurrent
            return NoiseLoader(size, self.pairing, batch=settings.batch_size, plate=plate, recurrent=recurrent)
        return Loader(
            self.pairs,
            self.pairing,
            self._batch_plan(multiple),
            plate=self.plate.picture if self.plate else None,
            weigh=self._pixel_weights(),
            recurrent=settings.recurrent,
            whole=self.device.kind == "cuda" and not settings.own_output_fraction,
            forget=settings.forget,
            camera=settings.camera,
        )

    def _unpaired_batches(self, multiple: int) -> Batches:
        """Return the source of batches of unpaired domains; noise if the pictures do not exist yet.

        ``multiple``: a divisor of the pictures' sides. Raises UsageError, MediaError.
        """
        settings = self.settings
        if self.picture_size is not None:
            size = crop_size([self.picture_size], settings.crop_size, multiple)
            return UnpairedNoise(size, batch=settings.batch_size, num_frames=self._num_frames)
        pairs, plan = self.dataset.role("train"), self._batch_plan(multiple)
        return UnpairedLoader(pairs, self.dataset.domains, plan, self._num_frames)

    def _batch_plan(self, multiple: int) -> BatchPlan:
        """Return the size of a batch and how its examples are drawn; ``multiple``: a divisor of the crop's sides."""
        settings = self.settings
        return BatchPlan(
            batch_size=settings.batch_size,
            seed=self.context.seed,
            multiple=multiple,
            crop=settings.crop_size,
            jitter=settings.jitter,
            flip=settings.flip,
            zoom_range=settings.zoom_range,
            share=self.dist.share(settings.batch_size),
        )

    def _pixel_weights(self) -> PixelWeights | None:
        """Return the function of pixel weights: of preserved content for a style method, else of the L1; or None."""
        if self.method.preserves_content:
            return preserved_content_weights if any(pair.keep for pair in self.pairs) else None
        weight = self.settings.motion_weight
        return find_motion_weights(self.dataset, self.pairs, weight) if weight else None

    def summary(self, output: Path, total: int) -> Table:
        """Return the report's table: output path, numbers of frames, pairs and steps, generator, device, precision."""
        return {
            "output": str(output),
            "frames": self.dataset.num_frames,
            "pairs": len(self.pairs),
            "steps": total,
            "generator": self.generator_name,
            "device": self.device.kind,
            "precision": self.precision,
        }

    def stage(self, total: int, dataset: str, exact: list[str], *, fresh: bool) -> TrainStage:
        """Return the cache's description of a run of ``total`` steps: all that affects the bytes of the results.

        ``dataset``: the dataset's digest; ``exact``: operators to compute in fp32. Raises UsageError if a file is
        missing.
        """
        settings, digest = self.settings, self.context.cache.digest
        # The cache stage has separate fields for the steps and, resolved in ``engine``, for the precision.
        table = {k: v for k, v in settings.for_key().items() if k not in ("steps", "precision")}
        engine: Table = {"device": self.device.kind, "precision": self.precision}
        engine |= {"threads": self.threads, "world_size": self.dist.size}
        if exact:
            engine["exact"] = exact
        if self.device.kind == "cuda":
            engine["step"] = CUDA_STEP_VERSION
        # The losses and the method, whose identifiers of external inputs are part of the stage.
        parts = {name: LOSSES.load(name) for name in settings.loss_weights} | {"method": self.method}
        engine |= {name: found for name, part in parts.items() if (found := part.identity(settings))}
        return TrainStage(
            dataset=dataset,
            pairing=pairing_record(self.pairing),
            generator=_network(GENERATORS, self.generator_name, self.generator_table, "generator"),
            discriminator=_network(DISCRIMINATORS, self.discriminator_name, self.discriminator_table, "discriminator"),
            settings=table,
            seed=self.context.seed,
            start=" ".join(map(digest, with_reverse_model(self.start))) if self.start else "",
            engine=engine | plugins_in_use(settings.loss_weights, settings.method),
            libraries={"torch": torch.__version__.partition("+")[0]}
            | libraries("opencv-python-headless")
            | settings.rollout_version,
            steps=total,
            fresh=fresh,
            card=to_table(self.recipe.settings("card", Card)),
        )


def _network(registry: Registry[Entry], name: str, table: Table, kind: str) -> Table:
    """Return a network's entry for records: its name, complete settings, and the plug-in it comes from."""
    return {"name": name, "settings": complete_settings(registry, name, table, kind)} | registry.origin(name)


def check_method(method: type[TrainingMethod], settings: TrainingSettings, dataset: Dataset) -> None:
    """Raise UsageError if the method or a setting does not suit the dataset's pairs, domains or classes."""
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
    """Raise UsageError if moving camera windows (setting ``camera``) do not suit the pairing or the other settings."""
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
    """Raise UsageError if targets are label maps but the method or a setting needs pictures, or the reverse."""
    if method.has_label_targets == (pairing.class_colours is None):
        kind = "pictures" if method.has_label_targets else "label maps"
        why = f"the targets of pairing '{pairing.name}' are {kind}"
        raise UsageError(what, why, f"use --set training.method={'pix2pix' if method.has_label_targets else 'classes'}")
    for name in PICTURES_ONLY if method.has_label_targets else ():
        if getattr(settings, name):
            raise UsageError(
                f"training.{name}", "it is for targets that are pictures, and these are label maps", "leave it out"
            )


def longest_shot(dataset: Dataset, context: Context) -> list[Pair]:
    """Return the training pairs of the longest shot, for pairings with a clock, whose timeline covers one shot."""
    shots: dict[tuple[int, int], list[Pair]] = {}
    for pair in dataset.role("train"):
        shots.setdefault(pair.shot, []).append(pair)
    if len(shots) > 1:
        context.note(f"the clock covers one shot: only the longest of {len(shots)} shots is used")
    return max(shots.values(), key=len, default=[])


def fit_pairing(dataset: Dataset, generator: str, table: Table) -> Dataset:
    """Return the dataset; if the generator stores no frames of the clip, drop the input of similar frames' positions.

    ``table``: the settings of the ``generator``.
    """
    if not dataset.pairing.has_conditions or dataset.pairing.has_clock or _kept_frames(generator, table):
        return dataset
    settings = dataset.pairing_table["settings"] | {"position": "none"}
    return replace(dataset, pairing_table=dataset.pairing_table | {"settings": settings})


def _kept_frames(generator: str, table: Table) -> int:
    """Return the maximum number of frames of the clip that a generator stores, by its settings ``table``; 0: none."""
    known = {f.name for f in fields(GENERATORS.load(generator).Settings)}
    wanted = table.get("memory_frames", 0) if "memory_frames" in known else 0
    return wanted if isinstance(wanted, int) else 0  # another value is refused with the other settings


def fit_memory(
    generator: str, table: Table, pairing: Pairing, pairs: Sequence[Pair], size: tuple[int, int] | None
) -> MemoryPlan | None:
    """Complete a generator's settings ``table`` from the dataset: its condition channels, its memorised frames.

    Return the plan of the memorised frames; None if there are none. ``size``: the (width, height) of pictures that do
    not exist yet. Raises UsageError if another number of channels is set.
    """
    known = {f.name for f in fields(GENERATORS.load(generator).Settings)}
    if "told_channels" in known:
        channels = CHANNELS if pairing.has_conditions else 0
        if (given := table.setdefault("told_channels", channels)) != channels:
            why = f"the pairing of this dataset tells {channels} channels"
            raise UsageError(f"generator.told_channels={given}", why, "leave it out")
    wanted = _kept_frames(generator, table)
    if not wanted or not pairing.has_conditions or not pairs:
        return None
    plan = MemoryPlan.of(pairs, wanted, pairing, size)
    table["memory_frames"], table["memory_size"] = len(plan.files), list(plan.size)
    return plan


def rollout_pool(
    loader: Batches, pairing: Pairing, settings: TrainingSettings, dist: DistContext
) -> RolloutPool | None:
    """Return the rollout pool if the settings use rollouts; None in a trial with noise. Raises UsageError.

    Methods without pairs feed back outputs themselves and have no rollout pool.
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


class Smaller(NamedTuple):
    """A rule by which a generator can start from the weights of a smaller one, whose ``setting`` has a lower value.

    ``is_one``: whether the second settings table is of a smaller generator than the first; ``load``: loads its
    weights.
    """

    is_one: Callable[[Table, Table], bool]
    load: Callable[[Any, Mapping[str, Tensor]], None]
    setting: str


# Generators that can start from the weights of a smaller generator, by name of the network.
SMALLER = {
    "hd": Smaller(is_coarser, load_coarser, "enhancers"),
    "predicted-style": Smaller(is_narrower, load_narrower, "channels"),
}


def start_with(
    generator: nn.Module, start: Path, name: str, table: Table, channels: int, *, plate: bool = False
) -> None:
    """Load the weights of the model file ``start`` into ``generator``, the network ``name`` with settings ``table``.

    Both must have a background ``plate`` or neither, and style codes of the same size. An hd generator may start from a
    coarser one, a predicted-style generator from a narrower one, and a recurrent generator from one without recurrence.
    Raises UsageError if the architecture or the number of input ``channels`` differs, ModelError.
    """
    smaller = _check_start(start, name, complete_settings(GENERATORS, name, table, "generator"), channels, plate)
    _check_start_codes(start, generator.code_size if isinstance(generator, CodedGenerator) else 0)
    _check_start_classes(start, generator)
    model = load_generator(start)[0]
    inner: Any = inner_generator(generator)
    weights = inner_generator(model).state_dict()
    if smaller:
        SMALLER[name].load(inner, weights)
    else:
        kept = {name: value for name, value in inner.state_dict().items() if FRAME_MEMORY in name}
        inner.load_state_dict(weights | kept)  # The memorised frames remain those of this run's clip.
    if isinstance(generator, RecurrentGenerator) and isinstance(model, RecurrentGenerator):
        generator.keeper.load_state_dict(model.keeper.state_dict())
    if isinstance(generator, CodedGenerator) and isinstance(model, CodedGenerator):
        generator.encoder.load_state_dict(model.encoder.state_dict())


def _check_start_classes(start: Path, generator: nn.Module) -> None:
    """Raise UsageError if the model has other target classes, or only one of model and generator has classes."""
    pairing = read_record(start).pairing
    its = make_pairing(pairing["name"], pairing["settings"]).class_colours
    own = generator.class_colours.tolist() if isinstance(generator, ClassGenerator) else []
    if own != (its.table.tolist() if its else []):
        why = "it finds other classes, or the same in another order" if its and own else "one of both finds no classes"
        raise UsageError(f"--from {start}", why, "give a model that was trained on the same classes, or leave it out")


def _check_start(start: Path, name: str, table: Table, channels: int, plate: bool) -> bool:
    """Return whether the model ``start`` is smaller than the generator to train, by the rules ``SMALLER``.

    Raises UsageError if it does not fit. ``name``, ``table``: generator and its settings. ``channels``: of the input.
    """
    record = read_record(start)
    its = record.generator["name"]
    if its in UNTRAINED or record.ports:
        why = "it is another tool's network, whose value range or order of colours may differ from vidtrans'"
        why = f"a {its} is rendered, not trained" if its in UNTRAINED else why
        raise UsageError(f"--from {start}", why, "leave it out, or give a model that 'vidtrans train' made")
    # A model that was made before a setting existed gets the setting's default.
    settings = complete_settings(GENERATORS, its, record.generator["settings"], "generator")
    rule = SMALLER.get(name)
    smaller = name == its and rule is not None and rule.is_one(table, settings)
    if name == its and settings != table and not smaller:
        remedy = "use the same --set generator.KEY=VALUE"
        remedy += f" (only generator.{rule.setting} may be higher)" if rule else ""
        raise UsageError(f"--from {start}", f"its generator's settings are {settings}", remedy)
    if bool(record.plate) != plate:
        why = "it has a plate" if record.plate else "it has no plate"
        raise UsageError(f"--from {start}", why, f"use --set background_plate={str(bool(record.plate)).lower()}")
    if name != its or record.in_channels != channels:
        why = f"it is a {its} with {record.in_channels} input channels, this run trains a {name} with {channels}"
        remedy = f"use a dataset of pairing {record.pairing['name']}"
        remedy += f" and --set generator.name={its}" if name != its else ""
        raise UsageError(f"--from {start}", why, remedy)
    return smaller


def _check_start_codes(start: Path, size: int) -> None:
    """Raise UsageError if the model ``start`` has style codes of another size than ``size`` (0: no codes)."""
    its = read_record(start).code_size
    if its != size:
        has = [f"{n} numbers" if n else "none" for n in (its, size)]
        why = f"its style code has {has[0]}, and the style code of this run has {has[1]}"
        raise UsageError(f"--from {start}", why, "use a model of the same training.method and size of codes")
