"""A training run from its first step to the model file: where it goes on from, what it leaves, what it delivers."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidtrans.clips.sampling import segment_centres
from vidtrans.errors import Interrupted, UsageError
from vidtrans.events import silent
from vidtrans.files import remove, write_atomically
from vidtrans.flow.history import to_signed_range
from vidtrans.inference.engine import with_history, with_plate
from vidtrans.inference.torch_engine import TorchEngine, pad_by_mirroring
from vidtrans.models.model_file import load_generator, save_model
from vidtrans.models.model_record import ModelRecord
from vidtrans.rendering.scene import plate_hint
from vidtrans.settings import Table
from vidtrans.store.cache import CacheEntry
from vidtrans.store.stages import TrainStage
from vidtrans.training import earlier_runs
from vidtrans.training.batchnorm import reestimate
from vidtrans.training.checkpoint import load_checkpoint
from vidtrans.training.feedback.recurrent_feedback import RecurrentFeedback
from vidtrans.training.monitor import TrainingMonitor
from vidtrans.training.report.page import film_steps
from vidtrans.training.rollout_scores import rollout_scorer
from vidtrans.training.stopping import advice, best_of, is_enough, score_steps
from vidtrans.training.trainer import Diverged, TrainingState, seconds_per_step, train
from vidtrans.training.training_job import NORM_PICTURES, NORMALISATION, TRIAL, TrainingJob
from vidtrans.training.validation import evenly, shown_of
from vidtrans.video.images.picture import read_picture

MODEL_FILE = "model.safetensors"
# Along the way, fewer pictures do: scores are to be compared with each other.
SCORED_ON_THE_WAY = 16
NOT_REPEATABLE = (
    "the same training again gives a slightly different model: CUDA has no deterministic form of what it used"
)


def follow_leader(job: TrainingJob) -> None:
    """Take part, in another process of a team, in what the first one does: the same steps, silently."""
    while (plan := job.dist.broadcast()) == TRIAL:
        seconds_per_step(job.make_run(Path(), 1))
    if plan is None:
        return
    run = job.make_run(Path(plan["folder"]), plan["steps"])
    if plan["goes_on"]:
        state = load_checkpoint(Path(plan["goes_on"]), silent)
        assert state is not None, "the first process has just read it"
        run.adopt(state)
    job.dist.barrier()  # the first one may now replace that checkpoint
    train(run, silent, job.context.stop, dist=job.dist)


class TrainingRun:
    """One run in a cache entry, watched in the folder ``watched``."""

    def __init__(self, job: TrainingJob, entry: CacheEntry, stage: TrainStage, output: Path, watched: Path) -> None:
        self.job, self.entry, self.stage, self.output = job, entry, stage, output
        self.context, self.pairing, self.settings = job.context, job.pairing, job.settings
        self.held_out = job.dataset.role("held-out")
        self.run = job.make_run(entry.folder, stage.steps)
        if self.settings.exports_best and not self.held_out:
            remedy = "make it with --set dataset.val_fraction=0.1, or leave it out"
            wanted = "patience" if self.settings.patience else "final_weights"
            raise UsageError(f"training.{wanted}", "the dataset has no held-out pairs to score", remedy)
        networks = self.run.model.networks
        facts = {
            "dataset": job.dataset.folder.name,
            "pairs": f"{len(job.pairs):,}, and {len(self.held_out):,} held out",
            "preset": job.recipe.preset or None,
            "pairing": self.pairing.name,
            "generator": f"{job.generator_name}, {_millions(networks['generator'])}",
            "discriminator": f"{job.discriminator_name}, {_millions(networks['discriminator'])}"
            if "discriminator" in networks
            else None,
            "device": f"{job.device.kind} {job.precision}" + (f" × {job.dist.size}" if job.dist.size > 1 else ""),
            "seed": stage.seed,
        } | {name: value for name, value in self.settings.for_key().items() if name not in ("steps", "precision")}
        self.rollouts = rollout_scorer(job.dataset, job.pairs)
        pairs = self.held_out or job.pairs
        self.watched = TrainingMonitor(watched, self.pairing, pairs, self.run, self._latest, facts)

    def __call__(self) -> Table:
        """Train to the end (from a checkpoint, or from a shorter run), write the model into the entry."""
        run, watched, context = self.run, self.watched, self.context
        goes_on = self._begin()
        self.job.dist.broadcast(
            {"folder": str(self.entry.folder), "steps": self.stage.steps, "goes_on": str(goes_on or "")}
        )
        self.job.dist.barrier()
        if not self.job.plate and (told := plate_hint(self.job.pairs, self.job.dataset, self.job.generator_table)):
            context.note(told)
        context.note(f"watch it learn: {watched.folder / 'preview.png'}")
        watched.begin()
        try:
            train(run, context.report, context.stop, lambda _: watched.refresh(), self._milestones(), self.job.dist)
        except Diverged:
            self._keep_last_good()
            watched.draw({})
            raise
        except Interrupted:
            if run.step:
                save_model(watched.folder / "last.safetensors", *self._finished(run.model.learned))
                watched.draw({})
            raise
        return self._deliver()

    def _begin(self) -> Path | None:
        """Load what the run goes on from; its folder. None where it starts from nothing."""
        run, stage = self.run, self.stage
        earlier_runs.describe(self.entry, stage, self.output)
        if self.settings.exports_best:
            earlier_runs.check_best(self.entry, self.context)
        if run.load(self.context.report):
            return self.entry.folder
        if stage.fresh:
            return None
        folder = earlier_runs.with_other_processes(self.entry, stage, run, self.context)
        folder = folder or earlier_runs.shorter(self.entry, stage, run, self.context)
        if folder is None:
            earlier_runs.tell_of_another(self.entry, stage, self.output, self.context)
        else:
            earlier_runs.bring_best(folder, self.entry, run, self.context)
        return folder

    def _milestones(self) -> dict[int, Callable[[TrainingState], None]]:
        """Return the functions to call after each step; the film shows the current weights, not the average."""
        due = self.watched.milestones()
        if self.settings.snapshots:
            for step in film_steps(self.run.total, self.settings.snapshots):
                due.setdefault(step, []).append(self._snapshot)
        if self.held_out:
            for step in score_steps(self.run.total, self.settings.val_interval):
                due.setdefault(step, []).append(self._score)

        def work_off(run: TrainingState) -> None:
            for task in due[run.step]:
                task()

        return dict.fromkeys(due, work_off)

    def _snapshot(self) -> None:
        path = self.watched.folder / "snapshots" / f"{self.run.step:08d}.safetensors"
        save_model(path, *self._finished(self.run.model.learned))

    def _score(self) -> None:
        run, settings = self.run, self.settings
        generator = self._ready(run.model.learned)
        engine = self._engine(generator)
        scores = run.model.validate(engine, self.pairing, evenly(self.held_out, SCORED_ON_THE_WAY))
        if self.rollouts:
            scores |= self.rollouts.on_the_way(engine)
        run.scores.append((run.step, scores))
        if best_of(run.scores, settings.best_metric) == run.step:
            save_model(self.entry.folder / earlier_runs.BEST_FILE, generator, self._record(scores))
            self._show_best()
        run.enough = run.step < run.total and is_enough(run.scores, settings.best_metric, settings.patience)
        if run.step < run.total and not run.enough:  # else the end draws it
            self.watched.draw({})

    def _show_best(self) -> None:
        with write_atomically(self.watched.folder / earlier_runs.BEST_FILE) as temporary:
            shutil.copyfile(self.entry.folder / earlier_runs.BEST_FILE, temporary)

    def _deliver(self) -> Table:
        """Write the model file of the wanted state, and return its table."""
        run, settings, note = self.run, self.settings, self.context.note
        best = best_of(run.scores, settings.best_metric)
        if run.enough:
            note(f"stopped at step {run.step} of {run.total}: {settings.patience} scorings brought nothing better")
        delivered: Any = run.model.learned
        last = self.watched.folder / "last.safetensors"
        step = best if settings.exports_best else run.step
        if step != run.step:
            save_model(last, *self._finished(delivered))
            delivered = load_generator(self.entry.folder / earlier_runs.BEST_FILE)[0].to(self.job.device.torch)
            note(f"the model is the best state, of step {best}; the last one is {last}")
        else:
            remove(last)  # of a run that was stopped, and has now come to its end
            if advised := advice(run.scores):
                note(f"{advised}; the best state is {self.watched.folder / earlier_runs.BEST_FILE}")
        if run.model.nondeterministic:
            note(f"{NOT_REPEATABLE} ({', '.join(sorted(run.model.nondeterministic))})")
        generator = self._ready(delivered)
        scores = {}
        if self.held_out:
            scores = run.model.validate(self._engine(generator), self.pairing, self.held_out)
        dreamt = self.rollouts.score(self._engine(generator)) if self.rollouts else None
        told = {"dreamt": dreamt.scores} if dreamt else {}
        save_model(self.entry.folder / MODEL_FILE, generator, self._record(scores, step, told))
        self.watched.draw(scores, dreamt)
        result = self.job.summary(self.output, run.step) | {"history": run.history, "held_out": scores, "best": best}
        result |= told
        result["report"] = str(self.watched.report)
        meta = {"run_key": self.stage.run_key, "steps": self.stage.steps, "result": result}
        self.entry.finish(meta, (MODEL_FILE,))
        return meta

    def _keep_last_good(self) -> None:
        last_good = self.job.make_run(self.entry.folder, self.stage.steps)
        if last_good.load(self.context.report):
            path = self.watched.folder / "last-good.safetensors"
            save_model(path, *self._finished(last_good.model.learned))
            self.context.note(f"the last good state: {path}", "warning")

    def _engine(self, generator: Any) -> TorchEngine:
        return TorchEngine(generator, self.job.device, self.job.shown_precision, batch=1)

    def _latest(self) -> TorchEngine:
        return self._engine(self.run.model.learned)

    def _finished(self, generator: Any) -> tuple[Any, ModelRecord]:
        """Save the current state as a model without scores."""
        return self._ready(generator), self._record({})

    def _ready(self, generator: Any) -> Any:
        """Return a copy for rendering, with BatchNorm statistics of whole training pictures."""
        engine = self._engine(generator)  # with the statistics that it has: it paints what is remembered
        generator = copy.deepcopy(generator)

        def inputs() -> Iterator[torch.Tensor]:
            for index in segment_centres(len(self.job.pairs), min(len(self.job.pairs), NORM_PICTURES)):
                for shown in self._shown(index, engine):
                    x = torch.from_numpy(np.ascontiguousarray(shown[None].transpose(0, 3, 1, 2)))
                    yield pad_by_mirroring(x, generator.multiple).to(self.job.device.torch)

        reestimate(generator, inputs())
        return generator

    def _shown(self, index: int, engine: TorchEngine) -> Iterator[np.ndarray]:
        """Yield a generator's inputs of training pairs, (H, W, C) float32; a recurrent one's without and with history.

        In training it sees either as often.
        """
        plate = self.job.plate
        shown = shown_of(self.pairing, self.job.pairs[index])
        feedback = self.run.chains.feedback if self.run.chains else None
        if not isinstance(feedback, RecurrentFeedback):
            yield to_signed_range(with_plate(shown[None], plate.picture)[0] if plate else shown)
            return
        yield to_signed_range(with_history(shown[None], self.pairing.in_channels)[0])
        past = feedback.of_pair(index, lambda pair: engine(shown_of(self.pairing, pair)[None])[0])
        if past is not None:
            yield np.dstack([to_signed_range(shown), past])

    def _record(self, scores: Table, step: int | None = None, more: Table | None = None) -> ModelRecord:
        """Of the state of ``step``, unless said otherwise the one that the run is at. ``more`` is told of training."""
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
