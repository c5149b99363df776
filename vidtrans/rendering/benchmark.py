"""Measure the speed of each step of a render separately, then of whole renders, on a generated clip.

The steps are those of the command ``stylize``. All files are temporary, except those that an engine compiles.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import ExitStack, closing
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch

from vidtrans.clips.indexing import open_clip
from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import VidtransError
from vidtrans.core.events import Progress
from vidtrans.core.machine import cores, processor
from vidtrans.core.settings import Table
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.inference import ENGINES
from vidtrans.inference.compiled import choose_engine
from vidtrans.inference.device import Device, resolve_precision
from vidtrans.inference.engine import Engine
from vidtrans.models.loaded_model import LoadedModel, load_engine
from vidtrans.models.model_file import IDENTITY, load_generator
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.pairing.base import input_frames
from vidtrans.rendering.chain import RenderChain
from vidtrans.rendering.enlarger import Enlarger, ShotFaults
from vidtrans.rendering.plan import plan_render
from vidtrans.session import Context
from vidtrans.store.chunks import RawOutputs
from vidtrans.temporal.batch_motion import load_batch_flow
from vidtrans.temporal.batch_window import BATCH
from vidtrans.temporal.stream import BatchFilter, Sample, filter_samples
from vidtrans.video.io.clip import Frame
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat
from vidtrans.video.io.join import Timing, join

ROUNDS = 3  # Number of counted measurements of each step, after one round that warms up caches and engines
WARM_UP_FRAMES = 4  # Number of frames in the warm-up round, which is not counted
# Names of the measured steps of a render, each run once per frame
STEPS = ("decode", "input", "engine", "flow", "filter", "encode")
SHORT_SIDE = 720  # Short side of the generated clip in pixels, unless it is rendered larger
# Function that processes a number of frames with one step, and returns the rate in frames per second
Step = Callable[[int], float]
# Function that renders the first frames of a clip: video, model, output, recipe, number of frames, context
Stylize = Callable[[Path, str, Path, Recipe, int, Context], object]
FRAME_RATE = Fraction(25)  # Frame rate of the generated clip in frames per second
OCTAVES = (4, 12, 36, 108)  # Number of noise cells along the short side, for each octave of the texture
OCTAVE_GAIN = 0.5  # Amplitude ratio of successive octaves; with more fine noise an edge detector finds lines everywhere
GRAIN_SIGMA = 2.0  # Standard deviation of the grain in 8-bit levels
CAMERA_STEP = 1 / 240  # Camera motion per frame, as a share of the picture's height: 3 pixels at a height of 720
# Radius of the camera's circular path, as a share of the height; a circle allows clips of any length
ORBIT_RADIUS = 1 / 12


def measure(steps: Mapping[str, Step], frames: int, context: Context) -> dict[str, Table]:
    """Measure all steps in turn, in several rounds, so that a slowdown of the machine affects all steps alike.

    Returns:
        For each step: ``fps``, the median over all rounds in frames per second, ``slowest`` and ``fastest``.
    """
    rates: dict[str, list[float]] = {name: [] for name in steps}
    done, total = 0, len(steps) * (ROUNDS + 1)
    for number in range(ROUNDS + 1):
        for name, step in steps.items():
            context.stop.check()
            context.report(Progress("measuring", done, total, "measurements", name.replace("_", " ")))
            rate = step(frames if number else min(frames, WARM_UP_FRAMES))
            if number:
                rates[name].append(rate)
            done += 1
    return {name: {"fps": median(r), "slowest": min(r), "fastest": max(r)} for name, r in rates.items()}


class RenderBenchmark:
    """A benchmark of each step of a render: of the first ``frames`` frames of a video, with inputs prepared before.

    ``size``: the short side of the model's pictures in pixels.
    """

    def __init__(
        self,
        model: LoadedModel,
        context: Context,
        device: Device,
        folder: Path,
        video: Path,
        size: int,
        frames: int,
    ) -> None:
        self.model, self.context, self.device, self.folder = model, context, device, folder
        clip = open_clip(context, video)
        self._recipe = Recipe("", {"rendering": {"size": str(size)}, "temporal": {"name": "window"}})
        settings = ResolvedRenderSettings.of(self._recipe, model, context.device).resolved(False, None)
        self.plan = plan_render(clip, model, settings, context)
        self._frames = list(self._decoded(frames))
        self._inputs = self._make_inputs(frames)
        engine_name, precision = settings.rendering.engine, settings.rendering.precision
        self.auto = choose_engine(model.engine_for(engine_name), device, precision) if model.path else IDENTITY
        engine = load_engine(model, settings.rendering, context)  # The context caches it for ``stylize``
        outputs = [output for batch in _batches(self._inputs, engine.batch) for output in engine(batch)]
        pairs = zip(self._frames, outputs, strict=False)
        self._samples = [Sample(f.index, f.pts, f.rgb, output, starts_shot=f.index == 0) for f, output in pairs]
        self.engine, self._temporal = engine, settings.make_filter()
        self._filtered = list(filter_samples(self._new_samples(frames), self._temporal))
        method, side = settings.filter_settings.flow, settings.filter_settings.flow_size or None
        self._estimator = FlowEstimator(method, side, str(device.torch) if FLOWS[method].runs_on_device else "cpu")
        self._batch_flow = load_batch_flow(method, device.torch) if isinstance(self._temporal, BatchFilter) else None

    def engines(self, slow: bool) -> tuple[dict[str, Engine], dict[str, str]]:
        """Return the warmed-up engines by name, and the reasons, by name, why other engines cannot run here.

        ``slow``: include engines that take long to start.
        """
        engines, skipped = {self.auto: self.engine}, {}
        generator = load_generator(self.model.path)[0] if self.model.path else None
        for name in ENGINES if generator else ():
            if name != self.auto:
                try:
                    if (cls := ENGINES.load(name)).slow_to_start and not slow:
                        skipped[name] = "slow to start (--all measures it)"
                        continue
                    engine = cls(generator, self.device, self.plan.rendering.precision)
                    self._infer(engine, 1)  # Some engines fail only at their first call
                    engines[name] = engine
                except VidtransError as error:
                    skipped[name] = error.why
                except Exception as error:  # A third-party error: measure the other engines anyway
                    skipped[name] = str(error).partition("\n")[0] or type(error).__name__
        return engines, skipped

    def steps(self, engines: Mapping[str, Engine]) -> dict[str, Step]:
        """Return functions that measure the speed of a step, by the name of the step; each engine has its own step."""
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
        """Return the functions that measure whole renders, with and without temporal filter, by name."""
        render = partial(self._stylize, stylize)
        return {"stylize": partial(render, "window"), "stylize_unfiltered": partial(render, "off")}

    def _decode(self, count: int) -> float:
        """Decode frames to RGB at the working size; return the rate in frames per second."""
        start_s = time.perf_counter()
        return _rate(sum(1 for _ in self._decoded(count)), start_s)

    def _decoded(self, count: int) -> Iterator[Frame]:
        """Decode the first ``count`` frames at the working size."""
        with self.plan.clip.reader(self.plan.form(self.plan.size), self.context.decode_threads) as reader:
            yield from reader.frames(0, count, self.plan.clip.index)

    def _input(self, count: int) -> float:
        """Measure how fast the pairing makes the network's inputs, in frames per second."""
        start_s = time.perf_counter()
        return _rate(len(self._make_inputs(count)), start_s)

    def _make_inputs(self, count: int) -> list[np.ndarray]:
        """Return the network's inputs for the first ``count`` frames."""
        with closing(self.plan.inputs()) as inputs:
            pairing = self.plan.pairing
            return [inputs([self._frames[n] for n in input_frames(pairing, i, 0)]) for i in range(count)]

    def _infer(self, engine: Engine, count: int) -> float:
        """Measure an engine's speed on the first ``count`` inputs, in frames per second."""
        return measure_engine(engine, self._inputs[:count])

    def _flow(self, count: int) -> float:
        """Measure the flow estimation between neighbouring frames in both directions, in frames per second.

        The flow is estimated in batches if the filter is batched.
        """
        start_s = time.perf_counter()
        prepared = map(self._estimator.prepare, (f.rgb for f in self._frames[:count]))
        if self._batch_flow is None:
            for first, second in pairwise(prepared):
                self._estimator.estimate_both(first, second)
            return _rate(count - 1, start_s)
        pictures = torch.from_numpy(np.stack(list(prepared))).to(self.device.torch).float()
        pictures = pictures[:, None] if pictures.ndim == 3 else pictures.movedim(-1, 1)
        for before, after in zip(pictures[:-1].split(BATCH), pictures[1:].split(BATCH), strict=True):
            flow = self._batch_flow(torch.cat((before, after)), torch.cat((after, before)))
        flow.sum().item()  # Waits for the device
        return _rate(count - 1, start_s)

    def _filter(self, count: int, *, with_flow: bool) -> float:
        """Measure the temporal filter in frames per second. ``with_flow``: the time includes the optical flow.

        A batched filter estimates the flow itself, so its time always includes the flow.
        """
        samples = self._new_samples(count)
        if not with_flow and not isinstance(self._temporal, BatchFilter):
            for before, after in pairwise(samples):
                self._temporal.expect(before, after)
            wait([future for s in samples for future in s.derived.values() if isinstance(future, Future)])
        start_s = time.perf_counter()
        return _rate(sum(1 for _ in filter_samples(samples, self._temporal)), start_s)

    def _new_samples(self, count: int) -> list[Sample]:
        """Return copies of the first ``count`` samples, without the data that an earlier run of the filter stored."""
        return [replace(sample, derived={}, download=None) for sample in self._samples[:count]]

    def _encode(self, count: int) -> float:
        """Measure how fast frames are enlarged to the source's size and encoded to a chunk, in frames per second."""
        plan, start_s = self.plan, time.perf_counter()
        with ExitStack() as stack:
            segment = stack.enter_context(closing(plan.segment(self.folder / "segment.nut")))
            raw = RawOutputs(None, plan.chunks, plan.size, deep=plan.is_deep)
            chain = RenderChain(plan, self.engine, raw, self.context, capacity=0)
            filtered = (replace(sample, output=picture) for sample, picture in self._filtered[:count])
            enlarge = Enlarger(plan, ShotFaults(), self.engine)
            for sample in chain.compose_frames(stack, filtered, range(count), enlarge):
                segment.write(sample.output, *plan.delivery.stamps(sample.index))
        return _rate(count, start_s)

    def _stylize(self, stylize: Stylize, method: str, count: int) -> float:
        """Measure the whole command ``stylize`` on a new clip in frames per second; the network is already loaded."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            fresh_context = replace(self.context, cache_dir=Path(folder) / "cache")
            recipe, name = self._recipe.under({"temporal": {"name": method}}), str(self.model.path or IDENTITY)
            start_s = time.perf_counter()
            stylize(self.plan.clip.path, name, Path(folder) / "out.mp4", recipe, count, fresh_context)
            return _rate(count, start_s)


def measure_engine(engine: Engine, inputs: list[np.ndarray]) -> float:
    """Measure an engine's speed in pictures per second on ``inputs``, (H, W, C) uint8 each.

    All batches are full, because a partial last batch would not represent a long clip.
    """
    batches = list(_batches(inputs, engine.batch))
    start_s = time.perf_counter()
    for batch in batches:
        engine(batch)
    return _rate(sum(map(len, batches)), start_s)


def _rate(count: int, start_s: float) -> float:
    """Return the rate in frames per second of ``count`` frames processed since ``start_s`` (``time.perf_counter``)."""
    return count / (time.perf_counter() - start_s)


def _batches(inputs: list[np.ndarray], batch: int) -> Iterator[np.ndarray]:
    """Yield all inputs in full batches; the last batch is filled up with inputs from the beginning."""
    for first in range(0, len(inputs), batch):
        yield np.stack([inputs[n % len(inputs)] for n in range(first, first + batch)])


def machine(device: Device) -> Table:
    """Describe the machine for a benchmark's result table; ``gpu`` is None if the device is not a GPU."""
    precision = resolve_precision("auto", device)
    return {
        "cpu": processor(),
        "cores": cores(),
        "device": device.name,
        "precision": precision,
        "gpu": device.card or None,
    }


def widescreen(short_side: int) -> tuple[int, int]:
    """Return the 16:9 (width, height) for a short side in pixels, both even, as H.264 requires."""
    return 2 * round(short_side * 8 / 9), 2 * (short_side // 2)


def write_clip(path: Path, size: tuple[int, int], frames: int) -> Path:
    """Write a generated clip of ``frames`` frames as H.264 in MP4, at an even (width, height); it is deterministic."""
    segment = path.with_suffix(".nut")
    form = PictureFormat(*size, Fraction(1), 1 / FRAME_RATE, FRAME_RATE)
    with closing(SegmentWriter(segment, form, EncodingSettings(codec="h264"))) as writer:
        for number, picture in enumerate(pictures(*size, frames)):
            writer.write(picture, number)
    join([segment], Timing(list(range(frames)), [1] * frames, 1 / FRAME_RATE), path)
    segment.unlink()
    return path


def pictures(width: int, height: int, frames: int) -> Iterator[np.ndarray]:
    """Yield generated pictures, (height, width, 3) uint8: a texture seen by a circling camera, and a moving disc.

    Detail, camera motion and grain are like those of hand-held footage.
    """
    rng = np.random.default_rng(0)
    radius = height * ORBIT_RADIUS
    margin = int(radius) + 1
    ground, object_ = (_texture(rng, width + 2 * margin, height + 2 * margin) for _ in range(2))
    grain = rng.normal(0, GRAIN_SIGMA, (height + 64, width + 64, 1)).astype(np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for number in range(frames):
        angle = number * CAMERA_STEP / ORBIT_RADIUS
        across, down = round(radius * np.cos(angle)), round(radius * np.sin(angle))
        left, top = margin + across, margin + down
        picture = ground[top : top + height, left : left + width].copy()
        inside = np.hypot(x - width / 2 - 2 * across, y - height / 2 - 2 * down) < height / 5
        picture[inside] = object_[margin - down :, margin - across :][:height, :width][inside]
        grain_y, grain_x = rng.integers(0, 64, 2)
        picture += grain[grain_y : grain_y + height, grain_x : grain_x + width]
        yield np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _texture(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return smooth noise of several scales, (height, width, 3) float32 from 16 to 240."""
    total = np.zeros((height, width, 3), np.float32)
    for level, patches in enumerate(OCTAVES):
        coarse = rng.random((patches, round(patches * width / height), 3), dtype=np.float32)
        total += OCTAVE_GAIN**level * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    low, high = total.min(), total.max()
    texture: np.ndarray = 16 + 224 * (total - low) / (high - low)
    return texture
