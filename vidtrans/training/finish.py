"""Writer of a training run's files: previews, snapshots, the best state, and the final model at its output path."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from vidtrans.clips.sampling import segment_centres
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Note, Preview
from vidtrans.core.files import digest_of, remove, write_atomically
from vidtrans.core.settings import Table
from vidtrans.data.clip_memory import ClipMemory
from vidtrans.data.dataset import Dataset, Pair
from vidtrans.data.moving_windows import render
from vidtrans.dreaming.drift_correction import frame_statistics
from vidtrans.dreaming.pointer import Pointer
from vidtrans.dreaming.rollout import CameraMove, Rollout, RolloutControls, RolloutModel, start_view
from vidtrans.dreaming.seeds import to_signed
from vidtrans.flow.history import to_signed_range
from vidtrans.inference.engine import append_history, append_plate
from vidtrans.inference.torch_engine import TorchEngine, pad_by_mirroring, to_pictures
from vidtrans.metrics import dreams
from vidtrans.metrics.picture_quality import PSNR_CAP, psnr
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.model_file import COLOURS, SUFFIX, companion_path, embed_extractor, load_generator, save_model
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.output.result import Result
from vidtrans.pairing.next_frame import NextFrame
from vidtrans.store.cache import CacheEntry
from vidtrans.store.stages import TrainStage
from vidtrans.training.delivered import summarise
from vidtrans.training.feedback import RecurrentFeedback, num_clock_positions, successors
from vidtrans.training.loop import Task, TrainingState
from vidtrans.training.methods.network_trainer import reestimate
from vidtrans.training.monitor import TrainingMonitor
from vidtrans.training.picture_codes import code_table
from vidtrans.training.set_up import NORM_PICTURES, TrainingSetup
from vidtrans.training.training_page import RolloutSummary, film_steps
from vidtrans.training.training_words import advice, best_step, has_stalled, score_steps
from vidtrans.training.validation import pair_input
from vidtrans.video.images.picture import picture_size, read_picture

MODEL_FILE = "model.safetensors"  # File name of the final model in the run's cache entry.
EMBEDDED_FILE = "embedded.safetensors"  # File name of the model that also contains the network that extracts its input.
BEST_FILE = "best.safetensors"  # File name of the model of the best state.
BEST = "best."  # Prefix of the file names of the best state's companion models.
# Seconds of training before the first model for the callback ``preview``; the interval doubles each time.
FIRST_PREVIEW_S = 60.0
VAL_PAIRS = 16  # Maximum number of held-out pairs scored during training; a few suffice, as scores are only compared.
# Warning for a training on CUDA with nondeterministic operations.
NOT_REPEATABLE = (
    "the same training again gives a slightly different model: CUDA has no deterministic form of some operations"
)
MAX_BLOCKS = 4  # Maximum number of held-out blocks (spans of frames) in which rollouts are scored.
QUICK_HORIZON = 10  # Number of frames of the short rollouts that are scored during training.
STILL = CameraMove()  # The camera move of a camera that does not move.


def companion_file(name: str) -> str:
    """Return the file name of the companion model ``name`` in the run's cache entry."""
    return f"{name}{SUFFIX}"


class ModelWriter:
    """Writer of a run's models, into its cache entry and the preview ``folder``, and of its previews and report.

    Companions are additional models: the reverse translator, and the colour map of two domains. ``preview`` is called
    with a model file of the current state, after ``FIRST_PREVIEW_S`` seconds and then at doubling intervals.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        entry: CacheEntry,
        stage: TrainStage,
        folder: Path,
        preview: Callable[[Path], None] | None = None,
    ) -> None:
        self.setup, self.entry, self.stage, self.folder = setup, entry, stage, folder
        self.context = setup.context
        self.state = state = setup.make_state(entry.folder, stage.steps)
        self._preview, self._preview_due, self._began = preview, FIRST_PREVIEW_S, time.monotonic()
        self.pairing, self.settings = setup.pairing, setup.settings
        self.held_out = setup.dataset.role("val")
        self.rollouts = (
            RolloutScorer(setup.dataset, setup.pairs, setup.pairing, setup.clip_memory, self._window)
            if isinstance(setup.pairing, NextFrame)
            else None
        )
        self.best_file, self.best_copy = entry.folder / BEST_FILE, folder / BEST_FILE
        self.monitor = TrainingMonitor(
            folder,
            setup.pairing,
            setup.dataset.inputs("val") or setup.pairs,
            state,
            lambda: self.engine(state.model.trained_generator),
            self._facts(),
            self.context.note,
            has_held_out=bool(self.held_out),
        )

    def _facts(self) -> Table:
        """Return the run's description for the report, by name: dataset, networks, device, seed and settings."""
        setup, networks = self.setup, self.state.model.networks
        names = {"generator": setup.generator_name, "discriminator": setup.discriminator_name}
        return {
            "dataset": setup.dataset.folder.name,
            "pairs": f"{len(setup.pairs):,}, and {len(self.held_out):,} held out",
            "preset": setup.recipe.preset or None,
            "pairing": setup.pairing.name,
            **{kind: f"{n}, {_millions(networks[kind])}" if kind in networks else None for kind, n in names.items()},
            "device": f"{setup.device.kind} {setup.precision}" + (f" × {setup.dist.size}" * (setup.dist.size > 1)),
            "seed": self.stage.seed,
            **self.stage.settings,
        }

    @property
    def _window(self) -> tuple[int, int] | None:
        """Return the (width, height) in pixels of a moving camera's window; None if no camera moves."""
        return self.state.loader.crop if self.settings.camera else None

    def engine(self, generator: torch.nn.Module) -> TorchEngine:
        """Return an inference engine of ``generator`` for previews and scores."""
        return TorchEngine(generator, self.setup.device, self.setup.render_precision, batch=1)

    def milestones(self, total: int) -> dict[int, list[Task]]:
        """Return the functions to call during a run of ``total`` steps, by the step after which they are called."""
        settings = self.settings
        due = self.monitor.milestones(total)
        for step in film_steps(total, settings.snapshots) if settings.snapshots else ():
            due.setdefault(step, []).append(self._save_snapshot)
        for step in score_steps(total, settings.val_interval) if self.held_out else ():
            due.setdefault(step, []).append(self.score)
        due.setdefault(total, []).insert(0, self._begin_to_finish)
        return due

    def _begin_to_finish(self) -> None:
        """Report that the run now finishes the model."""
        self.context.begin("finishing the model")

    def _save_snapshot(self) -> None:
        """Save the current state as a model in ``snapshots/``, named after its step."""
        self.save(f"snapshots/{self.state.step:08d}.safetensors")

    def refresh(self) -> None:
        """Update the previews, and call ``preview`` with a model file if its interval has passed.

        The training loop calls this method at intervals of wall time.
        """
        self.context.report(Preview(self.monitor.refresh()))
        if self._preview is None or self.context.stop.requested or self.state.step == self.state.total:
            return
        if time.monotonic() - self._began >= self._preview_due:
            began = time.monotonic()
            path = self.save("preview.safetensors")
            try:
                self._preview(path)
            except Interrupted:  # The training loop stops next, and saves the state.
                return
            finally:
                remove(path)
            took = time.monotonic() - began  # The time of the preview does not count as training.
            self._began += took
            self.state.seconds -= took
            self._preview_due *= 2

    def save(self, name: str, state: TrainingState | None = None) -> Path:
        """Save ``state`` (default: the run's) as the model file ``name`` in ``folder``, without scores.

        Return its path.
        """
        path = self.folder / name
        self._write(path, self._finalised((state or self.state).model.trained_generator), self._record({}))
        return path

    def score(self) -> None:
        """Score the held-out pairs, save the state if it is the best so far, and check for early stopping."""
        state, settings = self.state, self.settings
        generator = self._finalised(state.model.trained_generator)
        engine = self.engine(generator)
        scores = state.model.validate(engine, self.pairing, state.model.choose(self.held_out, VAL_PAIRS))
        if self.rollouts:
            scores |= self.rollouts.quick_score(engine)
        state.scores.append((state.step, scores))
        if best_step(state.scores, settings.best_metric) == state.step:
            self._write(self.best_file, generator, self._record(scores))
            self._write_companions(self._record({}), BEST)
            with write_atomically(self.best_copy) as temporary:
                shutil.copyfile(self.best_file, temporary)
        state.enough = state.step < state.total and has_stalled(state.scores, settings.best_metric, settings.patience)
        # At the end of the run, the report is drawn with the final scores instead.
        if state.step < state.total and not state.enough:
            self.context.report(Preview(self.monitor.draw({})))

    def finish(self, output: Path) -> Table:
        """Write the final model into the cache entry, mark the entry complete, and return the entry's metadata."""
        meta = self.deliver(output)
        self.entry.finish(meta, (MODEL_FILE, *map(companion_file, meta["companions"])))
        return meta

    def deliver(self, output: Path) -> Table:
        """Write the model of the current state into the cache entry, and return the entry's metadata."""
        state, note = self.state, self.context.note
        best = best_step(state.scores, self.settings.best_metric)
        step = best if self.settings.exports_best and best is not None else state.step
        generator = self._finalised(self._wanted(step, best))
        scores: Table = {}
        if self.held_out:
            scores = state.model.validate(self.engine(generator), self.pairing, self.held_out)
            for remark in state.model.remarks(scores):
                note(remark, "warning")
        rollout = self.rollouts.score(self.engine(generator)) if self.rollouts else None
        more = {"dreamt": rollout.scores} if rollout else {}
        delivered = summarise(self.engine(generator), self.pairing, self.held_out, step)
        more |= {"delivered": delivered.scores} if delivered else {}
        self._write(self.entry.folder / MODEL_FILE, generator, self._record(scores, step, more))
        companions = self._finish_companions(self._record({}, step), of_best=step != state.step)
        self.monitor.draw(scores, rollout, delivered)
        result = self.setup.summary(output, state.step) | {"history": state.history, "held_out": scores, "best": best}
        result |= more | {"report": str(self.monitor.report)}
        return {"run_key": self.stage.run_key, "steps": state.total, "result": result, "companions": companions}

    def _wanted(self, step: int, best: int | None) -> torch.nn.Module:
        """Return the generator that becomes the model: that of ``step``, the last or the best one; tell the user which.

        ``best``: the step of the best state, or None without scores.
        """
        state, note, last = self.state, self.context.note, self.folder / "last.safetensors"
        if state.enough:
            patience = self.settings.patience
            note(f"stopped at step {state.step} of {state.total}: {patience} scorings brought no improvement")
        if self.settings.exports_best and best is None:
            note(f"no state has a held-out {self.settings.best_metric}: the model is the last state")
        generator = state.model.trained_generator
        if step != state.step:
            self.save(last.name)
            generator = load_generator(self.best_file)[0].to(self.setup.device.torch)
            note(f"the model is the best state, of step {best}; the last state is in {last}")
        else:
            remove(last)  # of this run, when it was stopped
            if text := advice(state.scores):
                text += f"; the best state is {self.best_copy}" if best else ""
                self.context.report(Note(text, advises=True))
        if state.model.nondeterministic:
            note(f"{NOT_REPEATABLE} ({', '.join(sorted(state.model.nondeterministic))})")
        return generator

    def _write(self, path: Path, generator: torch.nn.Module, record: ModelRecord) -> None:
        """Write a model file; for a generator with style codes, include the codes of its training pictures."""
        save_model(path, generator, replace(record, codes=code_table(generator, self.setup.targets)))

    def _write_companions(self, record: ModelRecord, prefix: str = "") -> None:
        """Write the companion models (such as the reverse translator), with ``record`` and its two domains exchanged.

        ``prefix``: the prefix of their file names.
        """
        pairing, others = record.pairing, self.setup.dataset.targets("train")
        for name, network in self.state.model.companion_networks.items():
            back = {**pairing["settings"], "domains": pairing["settings"]["domains"][::-1]}
            path = self.entry.folder / (prefix + companion_file(name))
            save_model(path, self._finalised(network, others), replace(record, pairing=pairing | {"settings": back}))

    def _finish_companions(self, record: ModelRecord, *, of_best: bool) -> list[str]:
        """Write the companion models of the best state if ``of_best``, else of the current one; return their names."""
        folder, names = self.entry.folder, list(self.state.model.companion_networks)
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
        """Return a copy of a generator for rendering, with BatchNorm statistics of whole pictures.

        The pictures are those of ``pairs``; by default, of the training pairs.
        """
        pairs = pairs or self.setup.pairs
        engine = self.engine(generator)  # paints histories with the statistics of training
        generator = copy.deepcopy(generator)
        multiple: Any = generator.multiple

        def inputs() -> Iterator[torch.Tensor]:
            """Yield the generator's inputs, (1, C, H, W) float32 on the device, of evenly spaced pairs."""
            for index in segment_centres(len(pairs), min(len(pairs), NORM_PICTURES)):
                for picture in self._inputs(pairs[index], index, engine):
                    x = torch.from_numpy(np.ascontiguousarray(picture[None].transpose(0, 3, 1, 2)))
                    yield pad_by_mirroring(x, multiple).to(self.setup.device.torch)

        reestimate(generator, inputs())
        return generator

    def _inputs(self, pair: Pair, index: int, engine: TorchEngine) -> Iterator[np.ndarray]:
        """Yield the generator's input for a pair, (H, W, C) float32.

        For a recurrent generator without and with history.
        """
        plate = self.setup.plate
        given = pair_input(self.pairing, pair)
        feedback = self.state.rollouts.feedback if self.state.rollouts else None
        if not isinstance(feedback, RecurrentFeedback):
            yield to_signed_range(append_plate(given[None], plate.picture)[0] if plate else given)
            return
        yield to_signed_range(append_history(given[None], self.pairing.in_channels)[0])
        past = feedback.pair_history(index, lambda pair: engine(pair_input(self.pairing, pair)[None])[0])
        if past is not None:
            yield np.dstack([to_signed_range(given), past])

    def _record(self, scores: Table, step: int | None = None, more: Table | None = None) -> ModelRecord:
        """Return the model record of the state at ``step``, by default the current one.

        ``more``: further entries of the record's table of the training.
        """
        state, stage, setup = self.state, self.stage, self.setup
        first = read_picture(setup.pairs[0].target)
        tail = state.rows[-100:]
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
                "steps": state.history,
                "step": state.step if step is None else step,
                "losses": dict(zip(state.model.columns, losses, strict=False)),
                "held_out": scores,
            }
            | ({"nondeterministic": names} if (names := sorted(state.model.nondeterministic)) else {})
            | (more or {}),
            card=stage.card,
            plate=setup.plate.for_record() if setup.plate else {},
            dream=self.rollouts.for_record() if self.rollouts else {},
            memory=setup.memory,
        )


def _millions(network: torch.nn.Module) -> str:
    """Format a network's number of parameters in millions."""
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:.3g} M parameters"


def deliver(result: Result, entry: CacheEntry, meta: Table, extractor: LoadedModel | None) -> Table:
    """Copy the model and its companion models from a cache entry to the output paths; return the report.

    ``meta``: the metadata of the entry. ``extractor``: the network to embed in the model file, or None. Raises
    UsageError if an output path has an unrelated file.
    """
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
    """Copy a file to the output path of ``result``. Raises UsageError if an unrelated file exists there.

    ``table``: the report of the result.
    """

    def make(path: Path) -> Table:
        """Copy the file to ``path``; return the report."""
        shutil.copyfile(source, path)
        return table

    result.write(make)


class _Start(NamedTuple):
    """The start of a rollout: the ``pair`` of the first predicted frame, and the true frames' paths from it on."""

    pair: Pair
    truth: tuple[Path, ...] = ()


class RolloutScorer:
    """Scorer of a next-frame model's rollouts (predictions from its own predictions), without drift correction.

    The camera does not move. The rollouts start at held-out blocks of a dataset, or, without any, at the first training
    pair.

    ``window``: (width, height) in pixels of the central area that is seen; None for whole pictures.
    """

    def __init__(
        self,
        dataset: Dataset,
        pairs: Sequence[Pair],
        pairing: NextFrame,
        memory: ClipMemory | None,
        window: tuple[int, int] | None = None,
    ) -> None:
        self.dataset, self.pairing, self.memory, self.window = dataset, pairing, memory, window
        stored = picture_size(pairs[0].target)
        self.zoom = stored[1] / window[1] if window else 1.0
        self._pointer = Pointer(memory, 0) if memory and not pairing.has_clock else None
        held_out = [pair for pair in dataset.role("val") if not pairing.has_clock or pair.shot == pairs[0].shot]
        self.blocks = _starts(held_out, pairing.stride)[:MAX_BLOCKS]
        self.start = self.blocks[0] if self.blocks else _Start(pairs[0])
        self.positions = num_clock_positions(pairs, pairs[0].shot) if pairing.has_clock else 0
        self.rate = Fraction(dataset.sources[0].get("rate", "25"))
        files = sorted({path for pair in pairs for path in (*pair.inputs, pair.target)})
        self._files = [files[i] for i in segment_centres(len(files), min(dreams.MAX_TRAINING_FRAMES, len(files)))]
        shot = self.start.pair.shot
        self._clip = [dataset.path(r.file) for r in dataset.records if (r.source, r.shot) == shot and r.names]

    def _read(self, path: Path) -> np.ndarray:
        """Read a picture, (H, W, 3); with a window, return the central area."""
        picture = read_picture(path)
        return render(picture, np.eye(3), self.window) if self.window else picture

    @cached_property
    def training_frames(self) -> list[np.ndarray]:
        """Return at most ``dreams.MAX_TRAINING_FRAMES`` training frames, (H, W, 3) uint8."""
        return [self._read(path) for path in self._files]

    def score(self, engine: TorchEngine) -> RolloutSummary:
        """Return the scores of ``metrics.dreams`` and a strip of frames.

        Motion is relative to that of the true clip.
        """
        film = self._film(engine, self.start, dreams.ROLLOUT_FRAMES)
        clip = [self._read(path) for path in self._clip[:: self.pairing.stride][: dreams.MAX_TRAINING_FRAMES]]
        true_film = dreams.ping_pong(clip, dreams.ROLLOUT_FRAMES)
        scores = self._horizons(engine, film) | dreams.score_rollout(film, self.training_frames, true_film)
        return RolloutSummary(scores, [(n, film[n - 1]) for n in dreams.STRIP_FRAMES])

    def quick_score(self, engine: TorchEngine) -> Table:
        """Return {"horizon": PSNR in dB} of frame ``QUICK_HORIZON`` of a held-out rollout; {} if none is as long."""
        truth = self.start.truth[:QUICK_HORIZON]
        if len(truth) < QUICK_HORIZON:
            return {}
        film = self._film(engine, self.start, QUICK_HORIZON)
        return {"horizon": round(min(psnr(film[-1], self._read(truth[-1])), PSNR_CAP), 2)}

    def for_record(self) -> Table:
        """Return the model record's table for ``dream``: clock positions, frame rate, statistics, memorised frames."""
        rate = str(self.rate / self.pairing.stride)
        table = {"positions": self.positions, "rate": rate, "statistics": frame_statistics(self.training_frames)}
        table |= {"zoom": self.zoom} if self.window else {}
        if (memory := self.memory) is None:
            return table
        return table | {"runs": list(memory.runs), "shots": list(memory.shots)} | self._origins(memory.files)

    def _origins(self, files: Sequence[Path]) -> Table:
        """Return ``clips``: names and rates; ``frames``: (clip number, frame number) of each memorised frame."""
        records = {self.dataset.path(record.file): record for record in self.dataset.records}
        kept = [records[path] for path in files]
        clips = []
        for number, source in enumerate(self.dataset.sources):
            steps = np.diff(sorted(r.index for r in self.dataset.records if r.source == number))
            every = int(steps[steps > 0].min()) if (steps > 0).any() else 1
            clips.append({"name": source["name"], "rate": str(Fraction(source.get("rate", "25")) * every)})
        return {"clips": clips, "frames": [[record.source, record.index] for record in kept]}

    def _film(self, engine: TorchEngine, start: _Start, count: int) -> list[np.ndarray]:
        """Return the first ``count`` frames of the rollout from ``start``, (H, W, 3) uint8."""
        settings, positions = self.pairing.settings, self.positions
        model = RolloutModel(
            engine,
            settings.context_frames,
            settings.step,
            positions,
            pointer=self._pointer,
            start=start_view(self.zoom),
        )
        phase = (start.pair.place - self.pairing.stride) / positions if positions else 0.0
        controls = RolloutControls(lambda frame: STILL, lambda frame: 1.0)
        seed = [to_signed(self._read(path)) for path in start.pair.inputs]
        rollout = Rollout(seed, lambda frame: model, controls, phase=phase)
        return [to_pictures(rollout.step()[None], deep=False)[0] for _ in range(count)]

    def _horizons(self, engine: TorchEngine, film: Sequence[np.ndarray]) -> Table:
        """Return the mean scores of held-out rollouts after certain numbers of frames, and those of a repeated frame.

        ``horizons``: by number of frames; ``copy_last``: the same if the last true frame is repeated.

        ``film``: the frames of the first block's rollout.
        """
        ours, copies = [], []
        for number, block in enumerate(self.blocks):
            truth = [self._read(path) for path in block.truth]
            ours.append(dreams.horizons(film if number == 0 else self._film(engine, block, len(truth)), truth))
            copies.append(dreams.copy_last(self._read(block.pair.inputs[-1]), truth))
        return {"horizons": _means(ours), "copy_last": _means(copies)} if ours else {}


def _starts(pairs: Sequence[Pair], stride: int) -> list[_Start]:
    """Return a rollout start for each pair whose preceding frame is not in the dataset, the longest rollouts first."""
    following = successors(pairs, stride)
    starts = []
    for head in sorted(set(range(len(pairs))) - set(following)):
        at: int | None = head
        truth: list[Path] = []
        while at is not None and len(truth) < max(dreams.HORIZONS):
            truth.append(pairs[at].target)
            at = following[at]
        starts.append(_Start(pairs[head], tuple(truth)))
    return sorted(starts, key=lambda start: -len(start.truth))


def _means(tables: Sequence[dict[int, float]]) -> Table:
    """Return the mean score after each number of frames (horizon), over the tables that have a score for it."""
    reached = sorted(set().union(*tables))
    return {str(h): round(float(np.mean([t[h] for t in tables if h in t])), 2) for h in reached}
