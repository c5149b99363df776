"""The second step: a dataset in, a model file out."""

from __future__ import annotations

import copy
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidtrans.data.dataset import Dataset, open_dataset
from vidtrans.errors import MediaError, UsageError
from vidtrans.files import complete, digest_of, write_json
from vidtrans.model import SUFFIX, ModelRecord, find_model, read_record
from vidtrans.pipeline.cache import Entry
from vidtrans.pipeline.context import Context
from vidtrans.pipeline.make_dataset import SUFFIX as DATASET_SUFFIX
from vidtrans.pipeline.make_dataset import dataset_digest
from vidtrans.pipeline.outputs import record, up_to_date
from vidtrans.pipeline.recipe import Recipe, make_recipe
from vidtrans.pipeline.stages import TrainStage
from vidtrans.settings import Table, to_table
from vidtrans.training.settings import TrainingSettings

if TYPE_CHECKING:  # torch is imported only when there is something to train
    from vidtrans.training.trainer import Run

MODEL_FILE = "model.safetensors"
TABLES = ("generator", "discriminator", "training")


def default_output(folder: Path) -> Path:
    name = folder.resolve().name
    return Path(name.removesuffix(DATASET_SUFFIX) + SUFFIX)


def train_recipe(folder: Path, preset: str | None, flags: dict[str, Table]) -> Recipe:
    """The recipe for a dataset: the preset that is named, else the one that the dataset was made with."""
    return make_recipe(preset, open_dataset(folder).preset or None, flags)


def train(
    folder: Path,
    output: Path | None,
    recipe: Recipe,
    context: Context,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    start_from: str | None = None,
    fresh: bool = False,
) -> Table:
    """Train a model on the dataset in ``folder`` and return what is reported of it.

    ``steps`` outranks ``minutes``, which outranks the recipe's steps. A run that was stopped goes on; one with
    fewer steps is continued, unless ``fresh``. Raises UsageError, MediaError, ModelError, Diverged, Interrupted.
    """
    began = time.monotonic()
    dataset = open_dataset(folder)
    output = output or default_output(folder)
    if output.suffix != SUFFIX:
        raise UsageError(str(output), "a model is one .safetensors file", f"use -o {output.name}{SUFFIX}")
    settings = recipe.settings("training", TrainingSettings)
    start = find_model(start_from) if start_from else None
    request = digest_of(
        {
            "command": "train",
            "dataset": dataset_digest(context, dataset),
            "tables": recipe.only(*TABLES),
            "settings": to_table(settings),
            "steps": steps,
            "minutes": minutes,
            "from": context.cache.digest(start) if start else "",
            "seed": context.seed,
            "device": context.device,
        }
    )
    if not fresh and (held := up_to_date(context.cache, output, request, [], context.overwrite)) is not None:
        return held | {"output": str(output), "seconds": round(time.monotonic() - began, 3), "cached": True}
    if fresh and output.exists() and not context.overwrite:
        up_to_date(context.cache, output, "", [], False)  # says why not
    if not dataset.role("train"):
        raise MediaError(str(folder), "it has no training pairs left", "make it again, or --restore its pictures")
    job = _Job(dataset, recipe, settings, start, context)
    total = steps or (job.steps_for(minutes, request) if minutes else settings.steps)
    if context.dry_run:
        return job.summary(output, total) | {"dry_run": True}
    stage = job.stage(total, dataset_digest(context, dataset))
    entry = context.cache.entry(stage.name, stage.key)
    with entry.locked():
        meta = None if fresh else entry.read()
        if meta is None:
            if fresh:
                entry.clear()
            meta = job.run(entry, stage, total, output, fresh)
        with complete(output) as temporary:
            shutil.copyfile(entry.folder / MODEL_FILE, temporary)
    result = meta["result"] | {"output": str(output)}
    record(context.cache, output, request, result)
    return result | {"seconds": round(time.monotonic() - began, 3), "cached": False}


class _Job:
    """One training job: everything that needs torch."""

    def __init__(
        self,
        dataset: Dataset,
        recipe: Recipe,
        settings: TrainingSettings,
        start: Path | None,
        context: Context,
    ) -> None:
        import torch

        from vidtrans.inference.device import resolve_device, resolve_precision

        self.dataset, self.recipe, self.settings = dataset, recipe, settings
        self.start, self.context = start, context
        self.pairing = dataset.pairing
        self.pairs = dataset.role("train")
        self.device = resolve_device(context.device)
        self.precision = resolve_precision(settings.precision, self.device)
        self.generator_name, self.generator_table = recipe.choice("generator")
        self.discriminator_name, self.discriminator_table = recipe.choice("discriminator")
        self.threads = torch.get_num_threads() if self.device.kind == "cpu" else 0

    def stage(self, total: int, dataset: str) -> TrainStage:
        import torch

        from vidtrans.networks import DISCRIMINATORS, GENERATORS
        from vidtrans.networks.init import full_table

        table = to_table(self.settings)
        for name in (*TrainingSettings.NOT_IN_KEY, "steps", "precision"):
            table.pop(name)
        generator = full_table(GENERATORS, self.generator_name, self.generator_table, "generator")
        discriminator = full_table(DISCRIMINATORS, self.discriminator_name, self.discriminator_table, "discriminator")
        return TrainStage(
            dataset=dataset,
            generator={"name": self.generator_name, "settings": generator},
            discriminator={"name": self.discriminator_name, "settings": discriminator},
            settings=table,
            seed=self.context.seed,
            start=self.context.cache.digest(self.start) if self.start else "",
            engine={
                "device": self.device.kind,
                "precision": self.precision,
                "torch": torch.__version__.partition("+")[0],
                "threads": self.threads,
                "world_size": 1,
            },
            steps=total,
        )

    def make_run(self, folder: Path, total: int) -> Run:
        """A run at step 0: networks with their first weights, and the loader."""
        from vidtrans.data.loader import Loader
        from vidtrans.model import load_generator
        from vidtrans.networks.init import build_discriminator, build_generator, initialise
        from vidtrans.training.pix2pix import Pix2Pix
        from vidtrans.training.trainer import Run

        channels = self.pairing.in_channels
        generator = build_generator(self.generator_name, self.generator_table, channels)
        initialise(generator, self.context.seed)
        if self.start:
            self._check_start(channels)
            generator.load_state_dict(load_generator(self.start)[0].state_dict())
        discriminator = None
        if self.settings.gan:
            discriminator = build_discriminator(self.discriminator_name, self.discriminator_table, channels + 3)
            initialise(discriminator, self.context.seed + 1)
        loader = Loader(
            self.pairs,
            self.pairing,
            batch=self.settings.batch,
            seed=self.context.seed,
            multiple=generator.multiple,
            crop=self.settings.crop,
            jitter=self.settings.jitter,
            flip=self.settings.flip,
        )
        if discriminator is not None and min(loader.crop) < discriminator.smallest:
            raise UsageError(
                f"pictures of {loader.crop[0]}x{loader.crop[1]}",
                f"this discriminator needs {discriminator.smallest} pixels a side",
                "make the dataset with a larger --size, or --set discriminator.layers=1",
            )
        model = Pix2Pix(generator, discriminator, self.settings, self.device, self.precision)
        return Run(folder, model, loader, self.context.seed, [total])

    def _check_start(self, channels: int) -> None:
        """Raises UsageError where --from has another architecture or another input."""
        assert self.start is not None
        held = read_record(self.start)
        if held.generator["name"] != self.generator_name or held.in_channels != channels:
            raise UsageError(
                f"--from {self.start}",
                f"it is a {held.generator['name']} with {held.in_channels} input channels, "
                f"this run trains a {self.generator_name} with {channels}",
                f"use --set generator.name={held.generator['name']}, or a dataset of pairing {held.pairing['name']}",
            )

    def steps_for(self, minutes: float, request: str) -> int:
        """What ``--minutes`` comes to: measured once, and remembered before the first step."""
        from vidtrans.training.trainer import steps_for

        memo = self.context.cache.root / "resolved" / f"{request}.json"
        with suppress(OSError, ValueError, KeyError):
            return int(json.loads(memo.read_text())["steps"])
        steps = steps_for(self.make_run(Path(), 1), minutes)
        self.context.note(f"{minutes:g} minutes are about {steps} steps here")
        if not self.context.dry_run:
            self.context.cache.prepare()
            write_json(memo, {"steps": steps})
        return steps

    def run(self, entry: Entry, stage: TrainStage, total: int, output: Path, fresh: bool) -> Table:
        """Train to the end (from a checkpoint, or from a shorter run), write the model into the entry."""
        from vidtrans.training.trainer import Diverged, train

        run = self.make_run(entry.folder, total)
        if not self._resume(run, entry) and not fresh:
            self._continue_shorter(run, stage, entry)
        watched = output.with_suffix(".train")
        self.context.note(f"watch it learn: {watched / 'preview.png'}")
        try:
            train(
                run,
                self.context.report,
                self.context.stop,
                lambda r: self._preview(r, watched / "preview.png"),
                watched / "losses.csv",
            )
        except Diverged:
            if (held := self._last_good(entry, total)) is not None:
                self._export(held, watched / "last-good.safetensors", stage)
                self.context.note(f"the last good state: {watched / 'last-good.safetensors'}", "warning")
            raise
        scores = self._export(run, entry.folder / MODEL_FILE, stage)
        result = self.summary(output, total) | {"history": run.history, "held_out": scores}
        meta = {"run_key": stage.run_key, "steps": total, "result": result}
        entry.finish(meta, (MODEL_FILE,))
        return meta

    def _resume(self, run: Run, entry: Entry) -> bool:
        """Load the entry's checkpoint, with the history that it began with."""
        from vidtrans.training.checkpoint import load_checkpoint

        state = load_checkpoint(entry.folder, self.context.report)
        if state is None:
            return False
        run.adopt(state)
        run.history = [int(n) for n in state["history"]]
        return True

    def _last_good(self, entry: Entry, total: int) -> Run | None:
        run = self.make_run(entry.folder, total)
        return run if self._resume(run, entry) else None

    def _continue_shorter(self, run: Run, stage: TrainStage, entry: Entry) -> None:
        """Start from the longest finished run that differs in its number of steps alone."""
        from vidtrans.training.checkpoint import load_checkpoint
        from vidtrans.training.schedule import learning_rate

        best = max(self._shorter(stage, entry), key=lambda found: found[0], default=None)
        if best is None:
            return
        state = load_checkpoint(best[1].folder, self.context.report)
        if state is None:
            return
        run.adopt(state)
        run.history = [*(int(n) for n in state["history"]), stage.steps]
        before = learning_rate(max(0, run.step - 1), run.step, self.settings)
        after = learning_rate(run.step, run.total, self.settings)
        self.context.note(
            f"going on from the finished run of {run.step} steps; its learning rate had come down to {before:.2g}, "
            f"now it decays anew over {run.total} steps, from {after:.2g} (--fresh starts from nothing)"
        )

    def _shorter(self, stage: TrainStage, entry: Entry) -> Iterator[tuple[int, Entry]]:
        for other in self.context.cache.entries():
            if other.stage != stage.name or other.key == entry.key:
                continue
            meta = other.read()
            if meta and meta["run_key"] == stage.run_key and meta["steps"] < stage.steps:
                yield meta["steps"], other

    def _engine(self, generator: Any) -> Any:
        from vidtrans.inference.torch_engine import TorchEngine

        return TorchEngine(generator, self.device, self.precision, batch=1)

    def _shown_pairs(self) -> list[Any]:
        return self.dataset.role("held-out") or self.pairs

    def _preview(self, run: Run, path: Path) -> None:
        from vidtrans.training.evaluation import preview_sheet

        title = f"step {run.step} of {run.total}: input | output | target"
        preview_sheet(self._engine(run.model.generator), self.pairing, self._shown_pairs(), title, path)

    def _export(self, run: Run, path: Path, stage: TrainStage) -> Table:
        """Norm statistics anew, held-out scores, and the model file; returns the scores."""
        import torch

        from vidtrans.data.loader import to_signed
        from vidtrans.inference.engine import pad_to_multiple
        from vidtrans.model import save_model
        from vidtrans.training.batchnorm import reestimate
        from vidtrans.training.evaluation import MAX_SCORED, evenly, score
        from vidtrans.video.picture import read_picture

        generator: Any = copy.deepcopy(run.model.generator)

        def inputs() -> Iterator[torch.Tensor]:
            for pair in evenly(self.pairs, MAX_SCORED):
                shown = self.pairing.input([read_picture(p) for p in pair.inputs])
                padded = pad_to_multiple(shown[None], generator.multiple)[0]
                yield torch.from_numpy(to_signed(padded))[None].to(self.device.torch)

        reestimate(generator, inputs())
        held_out = self.dataset.role("held-out")
        scores = score(self._engine(generator), self.pairing, held_out) if held_out else {}
        first = read_picture(self.pairs[0].target)
        tail = run.rows[-100:]
        losses = [round(sum(column) / len(tail), 5) for column in zip(*tail, strict=True)] if tail else []
        save_model(
            path,
            generator,
            ModelRecord(
                generator=stage.generator,
                pairing=self.dataset.pairing_table,
                in_channels=self.pairing.in_channels,
                out_channels=3,
                size=min(first.shape[:2]),
                normalisation="uint8 / 127.5 - 1",
                training={
                    "dataset": stage.dataset,
                    "pairs": len(self.pairs),
                    "preset": self.recipe.preset,
                    "settings": stage.settings,
                    "discriminator": stage.discriminator,
                    "engine": stage.engine,
                    "seed": stage.seed,
                    "steps": run.history,
                    "losses": dict(zip(("gan", "l1", "discriminator"), losses, strict=False)),
                    "held_out": scores,
                },
                card={"author": "", "licence": "", "notes": ""},
            ),
        )
        return scores

    def summary(self, output: Path, total: int) -> Table:
        return {
            "output": str(output),
            "frames": len(self.dataset.records) - self.dataset.num_missing,
            "pairs": len(self.pairs),
            "steps": total,
            "generator": self.generator_name,
            "device": self.device.kind,
            "precision": self.precision,
        }
