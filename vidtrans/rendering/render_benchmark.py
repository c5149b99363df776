"""The rates of the steps of a render, each by itself and then all together, on a generated clip.

What is measured is what ``stylize`` runs. All files are temporary, but for what an engine compiles and keeps.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import torch

from vidtrans.clips.indexing import open_clip
from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import VidtransError
from vidtrans.core.events import Progress
from vidtrans.core.machine import cores, processor
from vidtrans.core.settings import Table
from vidtrans.flow.estimator import FlowEstimator, runs_on_device
from vidtrans.inference import ENGINES
from vidtrans.inference.compiled import choose_engine
from vidtrans.inference.device import Device, resolve_precision
from vidtrans.inference.engine import Engine
from vidtrans.models.loaded_model import LoadedModel, load_engine
from vidtrans.models.model_file import IDENTITY, load_generator
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.pairing.base import input_frames
from vidtrans.rendering.composite import Composer
from vidtrans.rendering.plan import plan_render
from vidtrans.session import Context
from vidtrans.temporal.batch_tracking import load_batch_flow
from vidtrans.temporal.batch_window import BATCH
from vidtrans.temporal.stream import BatchFilter, Sample, filter_samples
from vidtrans.video.io.clip import Frame

ROUNDS = 3
WARM_UP = 4  # frames of the round before them, which does not count
STEPS = ("decode", "input", "engine", "flow", "filter", "encode")  # of a render: every frame takes each of them once
SHORT_SIDE = 720  # of the clip, unless it is rendered larger
Step = Callable[[int], float]  # does its work on so many frames, and returns how many it did in a second
# Renders the first frames of a clip: video, model, output, recipe, how many frames, context.
Stylize = Callable[[Path, str, Path, Recipe, int, Context], object]


def measure(steps: Mapping[str, Step], frames: int, context: Context) -> dict[str, Table]:
    """Measure all steps in turn, round by round, so that a disturbance of the machine does not always hit one step.

    Returns:
        Of each step ``fps``, the median of all rounds in frames per second, the ``slowest`` and the ``fastest``.
    """
    rates: dict[str, list[float]] = {name: [] for name in steps}
    done, total = 0, len(steps) * (ROUNDS + 1)
    for number in range(ROUNDS + 1):
        for name, step in steps.items():
            context.stop.check()
            context.report(Progress("measuring", done, total, "measurements", name.replace("_", " ")))
            rate = step(frames if number else min(frames, WARM_UP))
            if number:
                rates[name].append(rate)
            done += 1
    return {name: {"fps": median(r), "slowest": min(r), "fastest": max(r)} for name, r in rates.items()}


class RenderBenchmark:
    """A render of the first ``frames`` of a clip, at ``size`` (short side), with the inputs of each of its steps."""

    def __init__(
        self,
        look: LoadedModel,
        context: Context,
        device: Device,
        folder: Path,
        video: Path,
        size: int,
        frames: int,
    ) -> None:
        self.look, self.context, self.device, self.folder = look, context, device, folder
        clip = open_clip(context, video)
        self._recipe = Recipe("", {"rendering": {"size": str(size)}, "temporal": {"name": "window"}})
        settings = ResolvedRenderSettings.of(self._recipe, look, context.device).resolved(False, None)
        self.plan = plan_render(clip, look, settings, context)
        self._frames = list(self._decoded(frames))
        self._inputs = self._make_inputs(frames)
        wanted, precision = settings.rendering.engine, settings.rendering.precision
        self.auto = choose_engine(look.engine_for(wanted), device, precision) if look.path else IDENTITY
        engine = load_engine(look, settings.rendering, context)  # kept in the context, for stylize
        outputs = [output for batch in _batches(self._inputs, engine.batch) for output in engine(batch)]
        pairs = zip(self._frames, outputs, strict=False)
        self._samples = [Sample(f.index, f.pts, f.rgb, output, starts_shot=f.index == 0) for f, output in pairs]
        self.engine, self._temporal = engine, settings.make_filter()
        self._filtered = list(filter_samples(self._new_samples(frames), self._temporal))
        method, side = settings.filter_settings.flow, settings.filter_settings.flow_size or None
        self._estimator = FlowEstimator(method, side, str(device.torch) if runs_on_device(method) else "cpu")
        self._batch_flow = load_batch_flow(method, device.torch) if isinstance(self._temporal, BatchFilter) else None

    def engines(self, slow: bool) -> tuple[dict[str, Engine], dict[str, str]]:
        """Return the engines that run here, warm, and why others do not. Raises UsageError without that of ``auto``."""
        engines, skipped = {self.auto: self.engine}, {}
        generator = load_generator(self.look.path)[0] if self.look.path else None
        for name in ENGINES if generator else ():
            if name != self.auto and ENGINES.load(name).slow_to_start and not slow:
                skipped[name] = "it takes long to start (--all measures it)"
            elif name != self.auto:
                try:
                    engine = ENGINES.load(name)(generator, self.device, self.plan.rendering.precision)
                    self._infer(engine, 1)  # some find out only here that they cannot
                    engines[name] = engine
                except VidtransError as error:
                    skipped[name] = error.why
                except Exception as error:  # a library's own: the others are measured all the same
                    skipped[name] = str(error).partition("\n")[0] or type(error).__name__
        return engines, skipped

    def steps(self, engines: Mapping[str, Engine]) -> dict[str, Step]:
        """Return the steps in the order of a render, each by itself."""
        return {
            "decode": self._decode,
            "input": self._input,
            **{f"engine {name}": partial(self._infer, engine) for name, engine in engines.items()},
            "flow": self._flow,
            "filter": partial(self._filter, with_flow=False),
            "filter_with_flow": partial(self._filter, with_flow=True),
            "encode": self._encode,
        }

    def renders(self, stylize: Stylize) -> dict[str, Step]:
        """Return whole renders, with the window filter and without."""
        render = partial(self._stylize, stylize)
        return {"stylize": partial(render, "window"), "stylize_unfiltered": partial(render, "off")}

    def _decode(self, count: int) -> float:
        """From the file to RGB at the working size."""
        began = time.perf_counter()
        return _rate(sum(1 for _ in self._decoded(count)), began)

    def _decoded(self, count: int) -> Iterator[Frame]:
        with self.plan.clip.reader(self.plan.form(self.plan.size), self.context.decode_threads) as reader:
            yield from reader.frames(0, count, self.plan.clip.index)

    def _input(self, count: int) -> float:
        began = time.perf_counter()
        return _rate(len(self._make_inputs(count)), began)

    def _make_inputs(self, count: int) -> list[np.ndarray]:
        with closing(self.plan.inputs()) as inputs:
            pairing = self.plan.pairing
            return [inputs([self._frames[n] for n in input_frames(pairing, i, 0)]) for i in range(count)]

    def _infer(self, engine: Engine, count: int) -> float:
        return inferred(engine, self._inputs[:count])

    def _flow(self, count: int) -> float:
        """A frame is prepared once, and there is a pair for each but the first; a filter for batches takes many."""
        began = time.perf_counter()
        prepared = map(self._estimator.prepare, (f.rgb for f in self._frames[:count]))
        if self._batch_flow is None:
            for first, second in pairwise(prepared):
                self._estimator.estimate_both(first, second)
            return _rate(count - 1, began)
        shown = torch.from_numpy(np.stack(list(prepared))).to(self.device.torch).float()
        shown = shown[:, None] if shown.ndim == 3 else shown.movedim(-1, 1)
        for before, after in zip(shown[:-1].split(BATCH), shown[1:].split(BATCH), strict=True):
            flow = self._batch_flow(torch.cat((before, after)), torch.cat((after, before)))
        flow.sum().item()  # waits for the device
        return _rate(count - 1, began)

    def _filter(self, count: int, *, with_flow: bool) -> float:
        """Without flow: what the filter would begin in the background is there before the clock runs.

        One for batches of frames begins nothing: its flow is always measured along.
        """
        samples = self._new_samples(count)
        if not with_flow and not isinstance(self._temporal, BatchFilter):
            for before, after in pairwise(samples):
                self._temporal.expect(before, after)
            wait([future for s in samples for future in s.derived.values() if isinstance(future, Future)])
        began = time.perf_counter()
        return _rate(sum(1 for _ in filter_samples(samples, self._temporal)), began)

    def _new_samples(self, count: int) -> list[Sample]:
        """Samples of which nothing is derived yet."""
        return [replace(sample, derived={}, download=None) for sample in self._samples[:count]]

    def _encode(self, count: int) -> float:
        """From the working size to a segment of the source's, its last frames flushed."""
        plan, began = self.plan, time.perf_counter()
        with ExitStack() as stack:
            segment = stack.enter_context(closing(plan.segment(self.folder / "segment.nut")))
            compose = stack.enter_context(closing(Composer(plan, 0, count))) if plan.is_composed else None
            for sample, picture in self._filtered[:count]:
                result = picture if compose is None else compose(sample, picture)
                segment.write(result, *plan.delivery.stamps(sample.index))
        return _rate(count, began)

    def _stylize(self, stylize: Stylize, method: str, count: int) -> float:
        """As the command does it with a new clip, but the network is loaded, which hardly matters for long clips."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            own = replace(self.context, cache_dir=Path(folder) / "cache")
            recipe, name = self._recipe.under({"temporal": {"name": method}}), str(self.look.path or IDENTITY)
            began = time.perf_counter()
            stylize(self.plan.clip.path, name, Path(folder) / "out.mp4", recipe, count, own)
            return _rate(count, began)


def inferred(engine: Engine, inputs: list[np.ndarray]) -> float:
    """Return how many pictures a second an engine makes of ``inputs``, (H, W, C) uint8 each.

    Whole batches: a last one that is not full would be no part of a long clip.
    """
    batches = list(_batches(inputs, engine.batch))
    began = time.perf_counter()
    for batch in batches:
        engine(batch)
    return _rate(sum(map(len, batches)), began)


def _rate(count: int, began: float) -> float:
    return count / (time.perf_counter() - began)


def _batches(inputs: list[np.ndarray], batch: int) -> Iterator[np.ndarray]:
    """All inputs, in whole batches: the last is filled up with those from the beginning."""
    for first in range(0, len(inputs), batch):
        yield np.stack([inputs[n % len(inputs)] for n in range(first, first + batch)])


def machine(device: Device) -> Table:
    """Return the processor, ``cores`` of this process, ``device``, ``precision`` there, and the ``gpu`` (else None)."""
    precision = resolve_precision("auto", device)
    return {
        "cpu": processor(),
        "cores": cores(),
        "device": device.name,
        "precision": precision,
        "gpu": device.card or None,
    }
