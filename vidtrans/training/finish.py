"""The models that a training run writes: snapshots, the best state, and the final model at its output path."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidtrans.clips.sampling import segment_centres
from vidtrans.core.events import Note
from vidtrans.core.files import digest_of, remove, write_atomically
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.flow.history import to_signed_range
from vidtrans.inference.engine import with_history, with_plate
from vidtrans.inference.torch_engine import TorchEngine, pad_by_mirroring
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.model_file import COLOURS, SUFFIX, companion_path, embed_extractor, load_generator, save_model
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.output.result import Result
from vidtrans.store.cache import CacheEntry
from vidtrans.store.stages import TrainStage
from vidtrans.training.delivered import summarise
from vidtrans.training.feedback import RecurrentFeedback
from vidtrans.training.loop import TrainingState
from vidtrans.training.methods.network_trainer import reestimate
from vidtrans.training.monitor import TrainingMonitor
from vidtrans.training.picture_codes import code_table
from vidtrans.training.rollout_scores import rollout_scorer
from vidtrans.training.set_up import NORM_PICTURES, TrainingSetup
from vidtrans.training.stopping import advice, best_of, is_enough
from vidtrans.training.validation import pair_input
from vidtrans.video.images.picture import read_picture

MODEL_FILE = "model.safetensors"
EMBEDDED_FILE = "embedded.safetensors"  # The model with the network that makes its input.
BEST_FILE = "best.safetensors"
BEST = "best."  # Prefix of the file names of the best state's companions.
VAL_PAIRS = 16  # Held-out pairs that are scored during training: scores are only compared with each other.
NOT_REPEATABLE = (
    "the same training again gives a slightly different model: CUDA has no deterministic form of some operations"
)


def companion_file(name: str) -> str:
    """Return the file name, in the run's cache entry, of a companion model."""
    return f"{name}{SUFFIX}"


class ModelWriter:
    """Writes the models of a run into its cache entry and into ``folder``, which also holds the previews.

    Companions are additional models: the reverse translator, and the colour map of two domains.
    """

    def __init__(
        self, setup: TrainingSetup, entry: CacheEntry, stage: TrainStage, run: TrainingState, folder: Path
    ) -> None:
        self.setup, self.entry, self.stage, self.run, self.folder = setup, entry, stage, run, folder
        self.pairing, self.settings = setup.pairing, setup.settings
        self.held_out = setup.dataset.role("val")
        self.rollouts = rollout_scorer(setup.dataset, setup.pairs, setup.clip_memory, self._window)
        self.best_file, self.best_copy = entry.folder / BEST_FILE, folder / BEST_FILE

    @property
    def _window(self) -> tuple[int, int] | None:
        """Return the (width, height) of a moving camera's window; None without one."""
        return self.run.loader.crop if self.settings.camera else None

    def engine(self, generator: torch.nn.Module) -> TorchEngine:
        """Return an inference engine for previews and scores."""
        return TorchEngine(generator, self.setup.device, self.setup.render_precision, batch=1)

    def save(self, name: str, run: TrainingState | None = None) -> Path:
        """Save the state of ``run`` (default: this run) in ``folder`` as a model without scores; return its path."""
        path = self.folder / name
        self._write(path, self._finalised((run or self.run).model.learned), self._record({}))
        return path

    def score(self) -> None:
        """Score the held-out pairs, save the state if it is the best so far, and check for early stopping."""
        run, settings = self.run, self.settings
        generator = self._finalised(run.model.learned)
        engine = self.engine(generator)
        scores = run.model.validate(engine, self.pairing, run.model.choose(self.held_out, VAL_PAIRS))
        if self.rollouts:
            scores |= self.rollouts.quick_score(engine)
        run.scores.append((run.step, scores))
        if best_of(run.scores, settings.best_metric) == run.step:
            self._write(self.best_file, generator, self._record(scores))
            self._write_companions(self._record({}), BEST)
            with write_atomically(self.best_copy) as temporary:
                shutil.copyfile(self.best_file, temporary)
        run.enough = run.step < run.total and is_enough(run.scores, settings.best_metric, settings.patience)

    def finish(self, output: Path, monitor: TrainingMonitor) -> Table:
        """Write the final model into the cache entry, mark it complete, and return the entry's metadata."""
        meta = self.deliver(output, monitor)
        self.entry.finish(meta, (MODEL_FILE, *map(companion_file, meta["companions"])))
        return meta

    def deliver(self, output: Path, monitor: TrainingMonitor) -> Table:
        """Write the model of this state into the cache entry, and return the entry's metadata."""
        run, note = self.run, self.setup.context.note
        best = best_of(run.scores, self.settings.best_metric)
        step = best if self.settings.exports_best and best is not None else run.step
        generator = self._finalised(self._wanted(step, best))
        scores: Table = {}
        if self.held_out:
            scores = run.model.validate(self.engine(generator), self.pairing, self.held_out)
            for remark in run.model.remarks(scores):
                note(remark, "warning")
        rollout = self.rollouts.score(self.engine(generator)) if self.rollouts else None
        more = {"dreamt": rollout.scores} if rollout else {}
        delivered = summarise(self.engine(generator), self.pairing, self.held_out, step)
        more |= {"delivered": delivered.scores} if delivered else {}
        self._write(self.entry.folder / MODEL_FILE, generator, self._record(scores, step, more))
        companions = self._finish_companions(self._record({}, step), of_best=step != run.step)
        monitor.draw(scores, rollout, delivered)
        result = self.setup.summary(output, run.step) | {"history": run.history, "held_out": scores, "best": best}
        result |= more | {"report": str(monitor.report)}
        return {"run_key": self.stage.run_key, "steps": run.total, "result": result, "companions": companions}

    def _wanted(self, step: int, best: int | None) -> torch.nn.Module:
        """Return the generator of the state of ``step``, the last or the ``best``; tell the user which one it is."""
        run, note, last = self.run, self.setup.context.note, self.folder / "last.safetensors"
        if run.enough:
            patience = self.settings.patience
            note(f"stopped at step {run.step} of {run.total}: {patience} scorings brought no improvement")
        if self.settings.exports_best and best is None:
            note(f"no state has a held-out {self.settings.best_metric}: the model is the last state")
        generator = run.model.learned
        if step != run.step:
            self.save(last.name)
            generator = load_generator(self.best_file)[0].to(self.setup.device.torch)
            note(f"the model is the best state, of step {best}; the last state is in {last}")
        else:
            remove(last)  # of this run, when it was stopped
            if text := advice(run.scores):
                text += f"; the best state is {self.best_copy}" if best else ""
                self.setup.context.report(Note(text, advises=True))
        if run.model.nondeterministic:
            note(f"{NOT_REPEATABLE} ({', '.join(sorted(run.model.nondeterministic))})")
        return generator

    def _write(self, path: Path, generator: torch.nn.Module, record: ModelRecord) -> None:
        """Write a model file; for a generator with many looks, include the codes of its training pictures."""
        save_model(path, generator, replace(record, codes=code_table(generator, self.setup.targets)))

    def _write_companions(self, record: ModelRecord, prefix: str = "") -> None:
        """Write the companion networks as models with ``record``, domains exchanged; ``prefix``: of the file names."""
        pairing, others = record.pairing, self.setup.dataset.targets("train")
        for name, network in self.run.model.learned_more.items():
            back = {**pairing["settings"], "domains": pairing["settings"]["domains"][::-1]}
            path = self.entry.folder / (prefix + companion_file(name))
            save_model(path, self._finalised(network, others), replace(record, pairing=pairing | {"settings": back}))

    def _finish_companions(self, record: ModelRecord, *, of_best: bool) -> list[str]:
        """Write the companions, of the best state if ``of_best``, else of the current one; return their names."""
        folder, names = self.entry.folder, list(self.run.model.learned_more)
        if not of_best:
            self._write_companions(record)
        for name in names if of_best else ():
            with write_atomically(folder / companion_file(name)) as temporary:
                shutil.copyfile(folder / (BEST + companion_file(name)), temporary)
        if not self.setup.colours:
            return names
        self.setup.colours.forth.save(folder / companion_file(COLOURS))
        return [*names, COLOURS]

    def _finalised(self, generator: torch.nn.Module, pairs: Sequence[Pair] = ()) -> torch.nn.Module:
        """Return a copy for rendering, with BatchNorm statistics over whole pictures of ``pairs`` (default: all)."""
        pairs = pairs or self.setup.pairs
        engine = self.engine(generator)  # paints histories with the statistics of training
        generator = copy.deepcopy(generator)
        multiple: Any = generator.multiple

        def inputs() -> Iterator[torch.Tensor]:
            for index in segment_centres(len(pairs), min(len(pairs), NORM_PICTURES)):
                for picture in self._inputs(pairs[index], index, engine):
                    x = torch.from_numpy(np.ascontiguousarray(picture[None].transpose(0, 3, 1, 2)))
                    yield pad_by_mirroring(x, multiple).to(self.setup.device.torch)

        reestimate(generator, inputs())
        return generator

    def _inputs(self, pair: Pair, index: int, engine: TorchEngine) -> Iterator[np.ndarray]:
        """Yield the generator's input for a pair, (H, W, C) float32; for a recurrent one without and with history."""
        plate = self.setup.plate
        given = pair_input(self.pairing, pair)
        feedback = self.run.rollouts.feedback if self.run.rollouts else None
        if not isinstance(feedback, RecurrentFeedback):
            yield to_signed_range(with_plate(given[None], plate.picture)[0] if plate else given)
            return
        yield to_signed_range(with_history(given[None], self.pairing.in_channels)[0])
        past = feedback.pair_history(index, lambda pair: engine(pair_input(self.pairing, pair)[None])[0])
        if past is not None:
            yield np.dstack([to_signed_range(given), past])

    def _record(self, scores: Table, step: int | None = None, more: Table | None = None) -> ModelRecord:
        """Return the record of the state at ``step`` (default: the current one); ``more``: extra training entries."""
        run, stage, setup = self.run, self.stage, self.setup
        first = read_picture(setup.pairs[0].target)
        tail = run.rows[-100:]
        losses = [round(sum(column) / len(tail), 5) for column in zip(*tail, strict=True)] if tail else []
        return ModelRecord(
            generator=stage.generator,
            pairing=stage.pairing,
            in_channels=self.pairing.in_channels,
            out_channels=3,
            size=min(self._window or first.shape[:2]),
            normalisation=NORMALISATION,
            training={
                "dataset": stage.dataset,
                "pairs": len(setup.pairs),
                "preset": setup.recipe.preset,
                "settings": stage.settings,
                "discriminator": stage.discriminator,
                "engine": stage.engine,
                "seed": stage.seed,
                "steps": run.history,
                "step": run.step if step is None else step,
                "losses": dict(zip(run.model.columns, losses, strict=False)),
                "held_out": scores,
            }
            | ({"nondeterministic": names} if (names := sorted(run.model.nondeterministic)) else {})
            | (more or {}),
            card=stage.card,
            plate=setup.plate.for_record() if setup.plate else {},
            dream=self.rollouts.for_record() if self.rollouts else {},
            memory=setup.memory,
        )


def deliver(result: Result, entry: CacheEntry, meta: Table, extractor: LoadedModel | None) -> Table:
    """Copy the models of a cache entry to their output paths, and return the report. Raises UsageError."""
    companions = {name: companion_path(result.output, name) for name in meta["companions"]}
    for name, path in companions.items():
        source = entry.folder / companion_file(name)
        beside = replace(result, output=path, request=digest_of([result.request, source.name]), lineage="")
        if beside.existing() is None:
            _copy(source, beside, {"output": str(path)})
    table: Table = meta["result"] | {"output": str(result.output)}
    table["companions"] = {name: str(path) for name, path in companions.items()}
    model = entry.folder / MODEL_FILE
    if extractor is not None:
        embed_extractor(model, entry.folder / EMBEDDED_FILE, extractor.load_generator())
        model = entry.folder / EMBEDDED_FILE
    _copy(model, result, table)
    return table


def _copy(source: Path, result: Result, table: Table) -> None:
    """Copy a file to the path of a result. Raises UsageError if another file is there."""

    def make(path: Path) -> Table:
        shutil.copyfile(source, path)
        return table

    result.write(make)
