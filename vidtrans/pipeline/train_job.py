"""The part of the training step that needs torch."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from vidtrans.data.augment import crop_size
from vidtrans.data.dataset import Dataset, Pair
from vidtrans.data.loader import Batches, Loader, NoiseLoader, to_signed
from vidtrans.errors import UsageError
from vidtrans.files import write_json
from vidtrans.inference.device import resolve_device
from vidtrans.inference.engine import pad_to_multiple
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.model import Card, ModelRecord, save_model
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.networks.init import build_discriminator, build_generator, full_table, initialise
from vidtrans.pairing.base import pairing_record
from vidtrans.pipeline.cache import Entry
from vidtrans.pipeline.context import Context
from vidtrans.pipeline.recipe import Recipe
from vidtrans.pipeline.stages import TrainStage, libraries
from vidtrans.pipeline.train_start import start_with
from vidtrans.settings import Table, to_table
from vidtrans.training import perceptual
from vidtrans.training.batchnorm import reestimate
from vidtrans.training.checkpoint import load_checkpoint
from vidtrans.training.evaluation import evenly, score, shown_of
from vidtrans.training.memory import ask_for_huge_pages
from vidtrans.training.pix2pix import Pix2Pix
from vidtrans.training.precision import resolve_precisions
from vidtrans.training.rarity import rarity
from vidtrans.training.schedule import learning_rate
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.sheets import Timeline, preview_sheet
from vidtrans.training.trainer import Diverged, Run, steps_for, train
from vidtrans.video.picture import read_picture

NORMALISATION = "uint8 / 127.5 - 1"
# BatchNorm statistics are averages over at most this many training pictures.
NORM_PICTURES = 64


class TrainJob:
    """One training job: its networks, its loader, its place in the cache.

    ``picture_size`` (width, height): the dataset is only planned, and a trial is made with noise.
    """

    MODEL_FILE = "model.safetensors"

    def __init__(
        self,
        dataset: Dataset,
        recipe: Recipe,
        settings: TrainingSettings,
        start: Path | None,
        context: Context,
        picture_size: tuple[int, int] | None = None,
    ) -> None:
        ask_for_huge_pages()
        self.picture_size = picture_size
        self.dataset, self.recipe, self.settings = dataset, recipe, settings
        self.start, self.context = start, context
        self.pairing = dataset.pairing
        self.pairs = dataset.role("train")
        self.device = resolve_device(context.device)
        self.precision, self.shown_precision = resolve_precisions(settings.precision, self.device)
        if settings.freeze and start is None:
            remedy = "give --from MODEL, or leave it out"
            raise UsageError("training.freeze", "there are no weights to keep in a run that starts anew", remedy)
        self.generator_name, self.generator_table = recipe.choice("generator")
        self.discriminator_name, self.discriminator_table = recipe.choice("discriminator")
        self.threads = torch.get_num_threads() if self.device.kind == "cpu" else 0

    def stage(self, total: int, dataset: str, fresh: bool) -> TrainStage:
        # The steps have a field of their own; the precision is in the engine, resolved.
        table = {k: v for k, v in self.settings.for_key().items() if k not in ("steps", "precision")}
        generator = full_table(GENERATORS, self.generator_name, self.generator_table, "generator")
        discriminator = full_table(DISCRIMINATORS, self.discriminator_name, self.discriminator_table, "discriminator")
        return TrainStage(
            dataset=dataset,
            pairing=pairing_record(self.pairing),
            generator={"name": self.generator_name, "settings": generator},
            discriminator={"name": self.discriminator_name, "settings": discriminator},
            settings=table,
            seed=self.context.seed,
            start=self.context.cache.digest(self.start) if self.start else "",
            engine={
                "device": self.device.kind,
                "precision": self.precision,
                "threads": self.threads,
                "world_size": 1,
            }
            | ({"perceptual": perceptual.identity()} if self.settings.looks_through_vgg else {}),
            libraries={"torch": torch.__version__.partition("+")[0]} | libraries("opencv-python-headless"),
            steps=total,
            fresh=fresh,
            card=to_table(self.recipe.settings("card", Card)),
        )

    def make_run(self, folder: Path, total: int) -> Run:
        """A run at step 0: networks with their first weights, and the loader."""
        channels = self.pairing.in_channels
        generator = build_generator(self.generator_name, self.generator_table, channels)
        initialise(generator, self.context.seed)
        if self.start:
            start_with(generator, self.start, self.generator_name, self.generator_table, channels)
        discriminator = None
        if self.settings.gan:
            judged = 3 + (channels if self.settings.conditional else 0)
            discriminator = build_discriminator(self.discriminator_name, self.discriminator_table, judged)
            initialise(discriminator, self.context.seed + 1)
        loader = self._loader(generator.multiple)
        for kind, network in (("generator", generator), ("discriminator", discriminator)):
            if network is not None and min(loader.crop) < network.smallest:
                raise UsageError(
                    f"training on {loader.crop[0]}x{loader.crop[1]} pixels",
                    f"this {kind} needs {network.smallest} a side",
                    "train on larger pictures (--size never enlarges), raise training.crop, or take fewer layers",
                )
        model = Pix2Pix(generator, discriminator, self.settings, self.device, self.precision, self._rarity())
        return Run(folder, model, loader, self.context.seed, [total])

    def _rarity(self) -> torch.Tensor | None:
        """What the colours of the training pictures weigh; a dataset that is only planned has none."""
        if not self.settings.rebalance or self.picture_size is not None:
            return None
        return rarity(read_picture(pair.target) for pair in evenly(self.pairs, NORM_PICTURES))

    def _loader(self, multiple: int) -> Batches:
        settings = self.settings
        if self.picture_size is not None:
            size = crop_size([self.picture_size], settings.crop, multiple)
            return NoiseLoader(size, self.pairing, batch=settings.batch)
        return Loader(
            self.pairs,
            self.pairing,
            batch=settings.batch,
            seed=self.context.seed,
            multiple=multiple,
            crop=settings.crop,
            jitter=settings.jitter,
            flip=settings.flip,
        )

    def steps_for(self, minutes: float, request: str, at_most: int | None = None) -> int:
        """What ``--minutes`` comes to: measured once, and remembered before the first step."""
        memo = self.context.cache.root / "resolved" / f"{request}.json"
        with suppress(OSError, ValueError, KeyError):
            return int(json.loads(memo.read_text())["steps"])
        steps = steps_for(self.make_run(Path(), 1), minutes)
        if at_most is not None and steps > at_most:
            steps = at_most
            self.context.note(f"{steps} steps, fewer than fit in {minutes:g} minutes here")
        else:
            self.context.note(f"{minutes:g} minutes are about {steps} steps here")
        if not self.context.dry_run:
            self.context.cache.prepare()
            write_json(memo, {"steps": steps})
        return steps

    def run(self, entry: Entry, stage: TrainStage, output: Path, watched: Path) -> Table:
        """Train to the end (from a checkpoint, or from a shorter run), write the model into the entry."""
        run = self.make_run(entry.folder, stage.steps)
        if not run.load(self.context.report) and not stage.fresh:
            self._continue_shorter(run, stage, entry)
        self.context.note(f"watch it learn: {watched / 'preview.png'}")
        timeline = Timeline(watched, self.pairing, self._shown_pairs(), run.total)
        timeline.begin(run.step)

        def milestone(run: Run) -> None:
            timeline.add(run.step, self._engine(run.model.learned))
            timeline.draw(run.rows, {})

        try:
            train(
                run,
                self.context.report,
                self.context.stop,
                lambda r: self._preview(r, watched / "preview.png"),
                watched / "losses.csv",
                dict.fromkeys(timeline.milestones, milestone),
            )
        except Diverged:
            last_good = self.make_run(entry.folder, stage.steps)
            if last_good.load(self.context.report):
                self._export(last_good, watched / "last-good.safetensors", stage)
                self.context.note(f"the last good state: {watched / 'last-good.safetensors'}", "warning")
            raise
        scores = self._export(run, entry.folder / self.MODEL_FILE, stage)
        timeline.draw(run.rows, scores)
        result = self.summary(output, stage.steps) | {"history": run.history, "held_out": scores}
        meta = {"run_key": stage.run_key, "steps": stage.steps, "result": result}
        entry.finish(meta, (self.MODEL_FILE,))
        return meta

    def _continue_shorter(self, run: Run, stage: TrainStage, entry: Entry) -> None:
        """Start from the longest finished run that differs in its number of steps, or its card, alone."""
        best = max(self._shorter(stage, entry), key=lambda found: found[0], default=None)
        if best is None:
            return
        state = load_checkpoint(best[1].folder, self.context.report)
        if state is None:
            return
        run.adopt(state)
        run.history = [int(n) for n in state["history"]]
        if run.step == stage.steps:
            return  # only the card is another
        run.history.append(stage.steps)
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
            if meta and meta["run_key"] == stage.run_key and meta["steps"] <= stage.steps:
                yield meta["steps"], other

    def _engine(self, generator: Any) -> TorchEngine:
        return TorchEngine(generator, self.device, self.shown_precision, batch=1)

    def _shown_pairs(self) -> list[Pair]:
        return self.dataset.role("held-out") or self.pairs

    def _preview(self, run: Run, path: Path) -> None:
        title = f"step {run.step} of {run.total}"
        preview_sheet(self._engine(run.model.learned), self.pairing, self._shown_pairs(), title, path)

    def _export(self, run: Run, path: Path, stage: TrainStage) -> Table:
        """Norm statistics anew, held-out scores, and the model file; returns the scores."""
        generator: Any = copy.deepcopy(run.model.learned)

        def inputs() -> Iterator[torch.Tensor]:
            for pair in evenly(self.pairs, NORM_PICTURES):
                padded = pad_to_multiple(shown_of(self.pairing, pair)[None], generator.multiple)[0]
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
                pairing=stage.pairing,
                in_channels=self.pairing.in_channels,
                out_channels=3,
                size=min(first.shape[:2]),
                normalisation=NORMALISATION,
                training={
                    "dataset": stage.dataset,
                    "pairs": len(self.pairs),
                    "preset": self.recipe.preset,
                    "settings": stage.settings,
                    "discriminator": stage.discriminator,
                    "engine": stage.engine,
                    "seed": stage.seed,
                    "steps": run.history,
                    "losses": dict(zip(run.model.columns, losses, strict=False)),
                    "held_out": scores,
                },
                card=stage.card,
            ),
        )
        return scores

    def summary(self, output: Path, total: int) -> Table:
        return {
            "output": str(output),
            "frames": len(self.dataset.files()),
            "pairs": len(self.pairs),
            "steps": total,
            "generator": self.generator_name,
            "device": self.device.kind,
            "precision": self.precision,
        }
