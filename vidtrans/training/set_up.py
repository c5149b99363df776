"""The set-up of a training run from dataset and recipe: networks, batches, cache stage and initial state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.machine import use_huge_pages
from vidtrans.core.settings import Table
from vidtrans.data.augment import crop_size
from vidtrans.data.background_plate import BackgroundPlate, find_motion_weights
from vidtrans.data.clip_memory import ClipMemory
from vidtrans.data.dataset import Dataset, Pair, check_sizes
from vidtrans.data.loading import Batches, Loader, NoiseLoader, PixelWeights, keep_weights, plan_growth
from vidtrans.flow.history import METHOD
from vidtrans.inference.device import resolve_device
from vidtrans.models.model_file import both_ways
from vidtrans.networks.init import build_discriminator, build_generator, initialise, inner_generator
from vidtrans.pairing.next_frame import picture_channels
from vidtrans.rendering.scene import placeholder_plate, require_background_plate
from vidtrans.session import Context
from vidtrans.training import METHODS
from vidtrans.training.device.distributed import SINGLE_PROCESS, DistContext
from vidtrans.training.losses.rarity import rarity
from vidtrans.training.methods.base import TrainingMethod
from vidtrans.training.methods.network_trainer import resolve_precisions
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.training_batches import (
    check_method,
    fit_memory,
    fit_pairing,
    longest_shot,
    rollout_pool,
    unpaired_batches,
)
from vidtrans.training.training_state import TrainingState
from vidtrans.training.validation import evenly
from vidtrans.training.warm_start import start_with
from vidtrans.video.images.picture import read_picture

if TYPE_CHECKING:
    from vidtrans.training.unpaired.unpaired_colours import ColourMaps

# BatchNorm statistics are averages over at most this many training pictures.
NORM_PICTURES = 64


class TrainingSetup:
    """The components of a training run, before its first step.

    ``picture_size`` (width, height): set if the dataset is only planned; steps are then timed with noise. ``pairs``:
    training pairs whose inputs the generator sees; for unpaired domains, the frames of the source.
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
        self.tells_less, self.dataset, dataset = fitting is not dataset, fitting, fitting
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
        """Return the frames of the clip that the model keeps; None for none. Raises MediaError."""
        return self.memory_plan.memory if self.memory_plan else None

    @property
    def memory(self) -> Table:
        """Return the model file's table for a recurrent generator; empty for others."""
        return {"flow": METHOD} if self.settings.recurrent else {}

    @property
    def targets(self) -> list[Pair]:
        """The training pairs whose targets show the looks to learn; for unpaired domains, the target frames."""
        return self.dataset.targets("train") if self.dataset.domains else self.pairs

    def build(self, *, reverse: bool = False) -> torch.nn.Module:
        """Build the generator, with weights not yet initialised; a reverse generator has no codes."""
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

    def make_run(self, folder: Path, total: int) -> TrainingState:
        """Return the state at step 0 of ``total``, its networks initialised; ``folder``: for checkpoints."""
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
        if self.tells_less:
            self.context.note(f"generator '{self.generator_name}' keeps no frames of the clip: it is told no position")
        return TrainingState(
            folder,
            method,
            loader,
            self.context.seed,
            [total],
            rollouts=rollouts,
            picture_channels=self._num_frames * picture_channels(self.pairing.in_channels, self.pairing.is_told),
            tells_noise=self.pairing.is_told,
            device=self.device,
        )

    @property
    def in_channels(self) -> int:
        """Return the number of a generator's input channels: the pairing's, and 3 for a plate; without a history's."""
        return self.pairing.in_channels + (3 if self.plate else 0)

    def make_generator(self, number: int = 0, *, reverse: bool = False) -> torch.nn.Module:
        """Build the recipe's generator, initialised or with the weights of ``--from``; see ``methods.base.Setup``."""
        generator = self.build(reverse=reverse)
        self.initialise(generator, number)
        if self.picture_size is None and getattr(inner_generator(generator), "starts_with_colours", False):
            from vidtrans.training.unpaired.unpaired_colours import start_with_colours

            start_with_colours(generator, self.colours, reverse=reverse)
        starts = both_ways(self.start) if self.start else []
        for start in starts[1:] if reverse else starts[:1]:
            name, table, channels = self.generator_name, self.generator_table, self.pairing.in_channels
            start_with(generator, start, name, table, channels, plate=bool(self.plate))
        return generator

    @cached_property
    def colours(self) -> ColourMaps | None:
        """The colour maps to the target domain and back; None for paired or only planned datasets."""
        if not self.dataset.domains or self.picture_size is not None:
            return None
        from vidtrans.training.unpaired.unpaired_colours import maps_between  # imports SciPy: a fifth of a second

        return maps_between(self.dataset)

    @property
    def recolour(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """The function that maps a frame to the target's colours, see ``methods.base.Setup``."""
        return self.colours.forth.apply if self.colours else None

    def initialise(self, network: torch.nn.Module, number: int) -> None:
        """Initialise the weights of a network that the method has built."""
        initialise(network, self.context.seed + number)

    def make_discriminator(self, channels: int, number: int) -> torch.nn.Module:
        """Build and initialise a discriminator of the recipe's kind."""
        network: torch.nn.Module = build_discriminator(self.discriminator_name, self.discriminator_table, channels)
        self.initialise(network, number)
        return network

    def find_class_shares(self) -> torch.Tensor:
        """Return the share of the training pixels in each class of the targets; equal ones for a planned dataset."""
        assert self.pairing.class_colours is not None, "``check_method`` has seen to it"
        pictures = (read_picture(pair.target) for pair in evenly(self.pairs, NORM_PICTURES))
        return torch.from_numpy(self.pairing.class_colours.shares(() if self.picture_size else pictures))

    def find_rarity(self) -> torch.Tensor | None:
        """Return the rarity weights of colours in the training pictures; None if off, or for a planned dataset."""
        if not self.settings.colour_rebalancing or self.picture_size is not None:
            return None
        return rarity(read_picture(pair.target) for pair in evenly(self.pairs, NORM_PICTURES))

    @property
    def _num_frames(self) -> int:
        """Return the number of consecutive frames per example of unpaired domains; else 1."""
        return self.method.num_frames(self.settings) if self.dataset.domains else 1

    def _loader(self, multiple: int) -> Batches:
        settings = self.settings
        if self.dataset.domains:
            share, seed = self.dist.share(settings.batch_size), self.context.seed
            return unpaired_batches(self.dataset, settings, self._num_frames, seed, multiple, share, self.picture_size)
        if self.picture_size is not None:
            size = crop_size([self.picture_size], settings.crop_size, multiple)
            plate, recurrent = settings.background_plate, settings.recurrent
            return NoiseLoader(size, self.pairing, batch=settings.batch_size, plate=plate, recurrent=recurrent)
        return Loader(
            self.pairs,
            self.pairing,
            batch=settings.batch_size,
            seed=self.context.seed,
            multiple=multiple,
            crop=settings.crop_size,
            jitter=settings.jitter,
            flip=settings.flip,
            zoom_range=settings.zoom_range,
            share=self.dist.share(settings.batch_size),
            plate=self.plate.picture if self.plate else None,
            weigh=self._pixel_weights(),
            recurrent=settings.recurrent,
            whole=self.device.kind == "cuda" and not settings.own_output_fraction,
            forget=settings.forget,
            camera=settings.camera,
        )

    def _pixel_weights(self) -> PixelWeights | None:
        """Return where a look keeps the content, for its method, or the weights of the L1; None if neither is used."""
        if self.method.keeps_content:
            return keep_weights if any(pair.keep for pair in self.pairs) else None
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
