"""A training run from its first step, or the checkpoint that it continues, to the model file."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidtrans.clips.sampling import segment_centres
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import silent
from vidtrans.core.files import remove, write_atomically
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.flow.history import to_signed_range
from vidtrans.inference.engine import with_history, with_plate
from vidtrans.inference.product_checks import computed_in_fp32
from vidtrans.inference.torch_engine import TorchEngine, pad_by_mirroring
from vidtrans.models.model_file import load_generator, save_model
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.rendering.scene import plate_hint
from vidtrans.store.cache_entry import CacheEntry
from vidtrans.store.stages import TrainStage
from vidtrans.training import earlier_runs
from vidtrans.training.checkpoint import load_checkpoint
from vidtrans.training.companions import Companions, companion_file
from vidtrans.training.feedback.recurrent_feedback import RecurrentFeedback
from vidtrans.training.monitor import TrainingMonitor
from vidtrans.training.picture_codes import code_table
from vidtrans.training.report.training_page import film_steps
from vidtrans.training.rollout_scores import rollout_scorer
from vidtrans.training.step_rates import seconds_per_step
from vidtrans.training.stopping import advice, best_of, is_enough, score_steps
from vidtrans.training.trainer import Diverged, TrainingState, train
from vidtrans.training.training_job import NORM_PICTURES, TrainingJob
from vidtrans.training.training_trial import TRIAL
from vidtrans.training.validation import pair_input
from vidtrans.training.weight_average import reestimate
from vidtrans.video.images.picture import read_picture

MODEL_FILE = "model.safetensors"
FIRST_PREVIEW_S = 60.0
VAL_PAIRS = 16  # scored during training: scores are only compared with each other
NOT_REPEATABLE = (
    "the same training again gives a slightly different model: CUDA has no deterministic form of what it used"
)


def follow_leader(job: TrainingJob) -> None:
    """Take the same steps as the main process, silently, in another process of a distributed run."""
    while (plan := job.dist.broadcast()) == TRIAL:
        seconds_per_step(job.make_run(Path(), 1))
    if not isinstance(plan, dict):
        return
    run = job.make_run(Path(plan["folder"]), plan["steps"])
    if plan["continued"]:
        state = load_checkpoint(Path(plan["continued"]), silent)
        assert state is not None, "the main process has just read it"
        run.restore(state)
        run.history.append(plan["steps"])
    job.dist.barrier()  # the main process may now replace that checkpoint
    train(run, silent, job.context.stop, dist=job.dist)


class TrainingRun:
    """One run in a cache entry; ``folder`` is that of its previews and its report.

    ``preview`` is called with a model file of the current state, after ``FIRST_PREVIEW_S`` and at times twice as late.
    """

    def __init__(
        self,
        job: TrainingJob,
        entry: CacheEntry,
        stage: TrainStage,
        output: Path,
        folder: Path,
        preview: Callable[[Path], None] | None = None,
    ) -> None:
        self.job, self.entry, self.stage, self.output = job, entry, stage, output
        self.context, self.pairing, self.settings = job.context, job.pairing, job.settings
        self.held_out = job.dataset.role("val")
        self.run = job.make_run(entry.folder, stage.steps)
        self.companions = Companions(entry.folder, job, self.run.model, self._finalised)
        self.rollouts = rollout_scorer(job.dataset, job.pairs)
        pairs = job.dataset.inputs("val") or job.pairs
        self._preview, self._preview_due = preview, FIRST_PREVIEW_S
        self._began = time.monotonic()
        facts, note = self._facts(), self.context.note
        self.monitor = TrainingMonitor(folder, self.pairing, pairs, self.run, self._latest, facts, note)

    def _facts(self) -> Table:
        """Return the table of the report."""
        job, networks = self.job, self.run.model.networks
        names = {"generator": job.generator_name, "discriminator": job.discriminator_name}
        return {
            "dataset": job.dataset.folder.name,
            "pairs": f"{len(job.pairs):,}, and {len(self.held_out):,} held out",
            "preset": job.recipe.preset or None,
            "pairing": self.pairing.name,
            **{kind: f"{n}, {_millions(networks[kind])}" if kind in networks else None for kind, n in names.items()},
            "device": f"{job.device.kind} {job.precision}" + (f" × {job.dist.size}" if job.dist.size > 1 else ""),
            "seed": self.stage.seed,
            **self.stage.settings,
        }

    def __call__(self) -> Table:
        """Train to the end (from a checkpoint, or from a shorter run), write the model into the entry."""
        run, monitor, context = self.run, self.monitor, self.context
        continued = self._begin()
        self.job.dist.broadcast(
            {"folder": str(self.entry.folder), "steps": self.stage.steps, "continued": str(continued or "")}
        )
        self.job.dist.barrier()
        if not self.job.plate and (hint := plate_hint(self.job.pairs, self.job.dataset, self.job.generator_table)):
            context.note(hint)
        context.note(f"watch it learn: {monitor.folder / 'preview.png'}")
        monitor.begin()
        try:
            with computed_in_fp32(self.job.exact):
                train(run, context.report, context.stop, lambda _: self._refresh(), self._milestones(), self.job.dist)
        except Diverged:
            self._save_last_good()
            monitor.draw({})
            raise
        except Interrupted:
            if run.step:
                self._save("last.safetensors", run)
                monitor.draw({})
            raise
        return self._deliver()

    def _refresh(self) -> None:
        """Show what there is so far; called by the clock."""
        self.monitor.refresh()
        if self._preview is None or self.context.stop.requested or self.run.step == self.run.total:
            return
        if time.monotonic() - self._began >= self._preview_due:
            began = time.monotonic()
            path = self._save("preview.safetensors", self.run)
            try:
                self._preview(path)
            except Interrupted:  # the loop is about to stop, and saves what was learned
                return
            finally:
                remove(path)
            self._began += time.monotonic() - began  # that was no training
            self._preview_due *= 2

    def _begin(self) -> Path | None:
        """Load the checkpoint to continue, and return its folder; None where the run starts from nothing."""
        run, stage = self.run, self.stage
        earlier_runs.describe(self.entry, stage, self.output)
        if self.settings.exports_best:
            earlier_runs.check_best(self.entry, self.context)
        if run.load(self.context.report):
            return self.entry.folder
        if stage.fresh:
            return None
        folder = earlier_runs.with_other_processes(self.entry, stage, run, self.context)
        folder = folder or earlier_runs.continue_shorter(self.entry, stage, run, self.context)
        if folder is None:
            earlier_runs.note_other_run(self.entry, stage, self.output, self.context)
        else:
            earlier_runs.copy_best(folder, self.entry, run, self.context)
        return folder

    def _milestones(self) -> dict[int, Callable[[TrainingState], None]]:
        """Return the functions to call after each step."""
        due = self.monitor.milestones()
        if self.settings.snapshots:
            for step in film_steps(self.run.total, self.settings.snapshots):
                due.setdefault(step, []).append(self._snapshot)
        if self.held_out:
            for step in score_steps(self.run.total, self.settings.val_interval):
                due.setdefault(step, []).append(self._score)

        def call_all(run: TrainingState) -> None:
            for task in due[run.step]:
                task()

        return dict.fromkeys(due, call_all)

    def _snapshot(self) -> None:
        self._save(f"snapshots/{self.run.step:08d}.safetensors", self.run)

    def _save(self, name: str, run: TrainingState) -> Path:
        """Save the current state as a model without scores beside the model."""
        path = self.monitor.folder / name
        self._write(path, self._finalised(run.model.learned), self._record({}))
        return path

    def _write(self, path: Path, generator: torch.nn.Module, record: ModelRecord) -> None:
        """Write a model file, of a generator with many looks with the codes of its training pictures."""
        save_model(path, generator, replace(record, codes=code_table(generator, self.job.targets)))

    def _score(self) -> None:
        run, settings = self.run, self.settings
        generator = self._finalised(run.model.learned)
        engine = self._engine(generator)
        scores = run.model.validate(engine, self.pairing, run.model.choose(self.held_out, VAL_PAIRS))
        if self.rollouts:
            scores |= self.rollouts.quick_score(engine)
        run.scores.append((run.step, scores))
        if best_of(run.scores, settings.best_metric) == run.step:
            self._write(self.entry.folder / earlier_runs.BEST_FILE, generator, self._record(scores))
            self.companions.save_best(self._record({}))
            with write_atomically(self.monitor.folder / earlier_runs.BEST_FILE) as temporary:
                shutil.copyfile(self.entry.folder / earlier_runs.BEST_FILE, temporary)
        run.enough = run.step < run.total and is_enough(run.scores, settings.best_metric, settings.patience)
        if run.step < run.total and not run.enough:  # otherwise the end of the run draws it
            self.monitor.draw({})

    def _deliver(self) -> Table:
        """Write the model file of the wanted state, and return its table."""
        run, settings, note = self.run, self.settings, self.context.note
        best = best_of(run.scores, settings.best_metric)
        if run.enough:
            note(f"stopped at step {run.step} of {run.total}: {settings.patience} scorings brought nothing better")
        delivered: Any = run.model.learned
        last = self.monitor.folder / "last.safetensors"
        if settings.exports_best and best is None:
            note(f"no state has a held-out {settings.best_metric}: the model is the last one")
        step = (best or run.step) if settings.exports_best else run.step
        if step != run.step:
            self._save(last.name, run)
            delivered = load_generator(self.entry.folder / earlier_runs.BEST_FILE)[0].to(self.job.device.torch)
            note(f"the model is the best state, of step {best}; the last one is {last}")
        else:
            remove(last)  # of this run, when it was stopped
            if text := advice(run.scores):
                kept = f"; the best state is {self.monitor.folder / earlier_runs.BEST_FILE}" if best else ""
                note(text + kept)
        if run.model.nondeterministic:
            note(f"{NOT_REPEATABLE} ({', '.join(sorted(run.model.nondeterministic))})")
        generator = self._finalised(delivered)
        scores = {}
        if self.held_out:
            scores = run.model.validate(self._engine(generator), self.pairing, self.held_out)
            for remark in run.model.remarks(scores):
                note(remark, "warning")
        rollout = self.rollouts.score(self._engine(generator)) if self.rollouts else None
        more = {"dreamt": rollout.scores} if rollout else {}
        self._write(self.entry.folder / MODEL_FILE, generator, self._record(scores, step, more))
        companions = self.companions.deliver(self._record({}, step), of_best=step != run.step)
        self.monitor.draw(scores, rollout)
        result = self.job.summary(self.output, run.step) | {"history": run.history, "held_out": scores, "best": best}
        result |= more | {"report": str(self.monitor.report)}
        meta = {"run_key": self.stage.run_key, "steps": self.stage.steps, "result": result, "companions": companions}
        self.entry.finish(meta, (MODEL_FILE, *(companion_file(name) for name in companions)))
        return meta

    def _save_last_good(self) -> None:
        last_good = self.job.make_run(self.entry.folder, self.stage.steps)
        if last_good.load(self.context.report):
            self.context.note(f"the last good state: {self._save('last-good.safetensors', last_good)}", "warning")

    def _engine(self, generator: torch.nn.Module) -> TorchEngine:
        return TorchEngine(generator, self.job.device, self.job.render_precision, batch=1)

    def _latest(self) -> TorchEngine:
        return self._engine(self.run.model.learned)

    def _finalised(self, generator: torch.nn.Module, pairs: Sequence[Pair] = ()) -> torch.nn.Module:
        """Return a copy for rendering, with BatchNorm statistics of whole pictures: of ``pairs``, or the job's."""
        pairs = pairs or self.job.pairs
        engine = self._engine(generator)  # paints histories with the statistics of training
        generator = copy.deepcopy(generator)
        multiple: Any = generator.multiple

        def inputs() -> Iterator[torch.Tensor]:
            for index in segment_centres(len(pairs), min(len(pairs), NORM_PICTURES)):
                for picture in self._inputs(pairs[index], index, engine):
                    x = torch.from_numpy(np.ascontiguousarray(picture[None].transpose(0, 3, 1, 2)))
                    yield pad_by_mirroring(x, multiple).to(self.job.device.torch)

        reestimate(generator, inputs())
        return generator

    def _inputs(self, pair: Pair, index: int, engine: TorchEngine) -> Iterator[np.ndarray]:
        """Yield a pair's inputs, (H, W, C) float32; of a recurrent generator without and with history."""
        plate = self.job.plate
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
        """Return the record of the state of ``step``, by default the current one; ``more`` is about its training."""
        run, stage, job = self.run, self.stage, self.job
        first = read_picture(job.pairs[0].target)
        tail = run.rows[-100:]
        losses = [round(sum(column) / len(tail), 5) for column in zip(*tail, strict=True)] if tail else []
        return ModelRecord(
            generator=stage.generator,
            pairing=stage.pairing,
            in_channels=self.pairing.in_channels,
            out_channels=3,
            size=min(first.shape[:2]),
            normalisation=NORMALISATION,
            training={
                "dataset": stage.dataset,
                "pairs": len(job.pairs),
                "preset": job.recipe.preset,
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
            plate=job.plate.for_record() if job.plate else {},
            dream=self.rollouts.for_record() if self.rollouts else {},
            memory=job.memory,
        )


def _millions(network: torch.nn.Module) -> str:
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:.3g} M parameters"
