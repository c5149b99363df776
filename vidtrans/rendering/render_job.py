"""Carry out a planned render: make its missing chunks and join all chunks; or estimate its cost.

The estimate comes from a short trial on the first frames. Its files are in the system's temporary folder, and are
deleted.
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import repeat
from pathlib import Path

import numpy as np

from vidtrans.core.concurrency.threads import Prefetcher
from vidtrans.core.costs import TRIAL_FRAMES, add_up, estimate, without_result
from vidtrans.core.settings import Table
from vidtrans.inference.engine import Engine, wrong_products_warning
from vidtrans.models.loaded_model import load_engine
from vidtrans.models.model_chain import ModelChain, load_chain_engine
from vidtrans.output.result import Result
from vidtrans.rendering.cache_entries import RenderEntries
from vidtrans.rendering.composite import Composer
from vidtrans.rendering.enlarger import Enlarger, ShotFaults
from vidtrans.rendering.extraction import ClipExtraction
from vidtrans.rendering.frame_path import FramePath
from vidtrans.rendering.network_faults import find_shot_faults
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.runner import ChunkRenderer
from vidtrans.session import Context
from vidtrans.store.cache_entry import CacheEntry
from vidtrans.store.chunks import RawOutputs, StateStore
from vidtrans.temporal.stream import filter_samples
from vidtrans.video.colour.conversion import composite_over, to_uint8
from vidtrans.video.images.picture import resize
from vidtrans.video.io.encoder import LosslessWriter, picture_encoder


@dataclass(frozen=True)
class RenderJob:
    """A render ``plan`` and the context to carry it out.

    ``facts`` are added to the result table. ``origin``: the digest of the request whose result is corrected.
    """

    plan: RenderPlan
    context: Context
    facts: Table = field(default_factory=dict)
    origin: str = ""

    def engine(self) -> Engine:
        """Return the loaded model's engine. Raises ModelError, DeviceError, UsageError."""
        plan = self.plan
        if isinstance(plan.model, ModelChain):
            return load_chain_engine(plan.model, plan.rendering, plan.source_size, self.context)
        return load_engine(plan.model, plan.rendering, self.context)

    @cached_property
    def extraction(self) -> ClipExtraction | None:
        """Return the pictures of the model's extractor; None without one. Raises the errors of ``engine``."""
        return ClipExtraction.of(self.plan, self.context)

    def entries(self, engine: Engine) -> RenderEntries:
        """Return the cache entries that this job fills."""
        extraction = self.extraction.stage.key if self.extraction else ""
        return RenderEntries.find(self.plan, engine, self.context.cache, extraction)

    def _extract(self, chunks: ChunkRenderer, missing: Sequence[int], stack: ExitStack) -> None:
        """Make the extractor's pictures for the missing chunks; keep them until the ``stack`` is closed."""
        if self.extraction is None or not missing:
            return
        entry = self.extraction.entry
        with self._locked(entry):  # released afterwards: other models with this extractor read the entry, too
            chunks.extract(missing)
            stack.callback(entry.pin().release)

    def render(self, wanted: Result) -> Table:
        """Make the missing chunks, write the result ``wanted`` (segments and sound, joined), and return its table."""
        plan, engine = self.plan, self.engine()
        entries = self.entries(engine)
        with ExitStack() as stack:
            stack.enter_context(self._locked(entries.segments))
            store, missing, raw_store = entries.store, entries.missing(), entries.raw_store
            if missing and raw_store is not None:
                stack.enter_context(self._locked(entries.raw))
            states = StateStore(entries.segments)
            chunks = ChunkRenderer(plan, engine, entries.raw_outputs(), self.context, self.extraction)
            self._extract(chunks, missing, stack)
            if missing:
                chunks.render(store, states, missing, self.enlarger(engine, missing))
                if raw_store is not None and all(raw_store.is_done(c.number) for c in entries.written):
                    entries.raw.finish({"frames": plan.num_frames})
            counts = chunks.counts(missing) | self._engine_table(engine, chunks) | self.facts
            table = wanted.write(lambda path: self.summary(wanted.output) | counts | self._join(entries, wanted, path))
            store.entry.finish({"frames": plan.num_frames})
            states.clear()
        return table

    def enlarger(self, engine: Engine, chunks: Sequence[int]) -> Enlarger:
        """Return the enlarger of the pictures of these chunks, given by number."""
        wanted = [self.plan.chunks[number] for number in chunks]
        return Enlarger(self.plan, find_shot_faults(self.plan, engine, wanted, self.context), engine)

    def _engine_table(self, engine: Engine, chunks: ChunkRenderer) -> Table:
        """Return the result table's facts about the engine and its outputs."""
        table: Table = {"engine": " ".join(engine.identity[k] for k in ("engine", "precision") if k in engine.identity)}
        if chunks.count.inferred and (tile := getattr(engine, "tile", None)):
            table["tile"] = tile
            self.context.note(f"not enough memory for whole frames: they were rendered in tiles of {tile} pixels")
        if exact := getattr(engine, "exact", []):
            table["exact"] = exact
            self.context.warn_once(wrong_products_warning(exact, engine.precision))
        if (psnr := chunks.count.psnr) is not None:
            table["draft_psnr"] = round(psnr, 2)
        return table

    def _join(self, entries: RenderEntries, wanted: Result, path: Path) -> Table:
        self.context.begin("joining")
        segments = [entries.store.path(chunk.number) for chunk in entries.written]
        assembly = self.plan.delivery.assembly(wanted.folder)
        return assembly.write(segments, path, entries.store.entry.folder, self.context)

    def pictures(self) -> Generator[tuple[int, np.ndarray], None, None]:
        """Yield the number and the picture of each frame, as ``render`` would encode it; nothing is stored.

        (H, W, 3), or (H, W, 4) with alpha; uint8 or uint16. All stages work in parallel, some frames ahead.
        """
        plan, engine = self.plan, self.engine()
        with ExitStack() as stack:
            raw = RawOutputs(None, plan.chunks, plan.size, deep=plan.is_deep)
            chunks = ChunkRenderer(plan, engine, raw, self.context, self.extraction)
            self._extract(chunks, range(len(plan.chunks)), stack)
            enlarge = self.enlarger(engine, range(len(plan.chunks)))
            method, frames = plan.settings.make_filter(), range(plan.first, plan.stop)
            composed = chunks.composed(stack, method, frames, plan.first, plan.stop, enlarge)
            made = composed_ahead(composed, chunks.result_capacity)
            for number, picture in stack.enter_context(closing(Prefetcher(made, chunks.result_capacity, "results"))):
                self.context.stop.check()
                yield number, picture

    def unfiltered(self, ground: tuple[int, int, int]) -> Generator[np.ndarray, None, None]:
        """Yield the result's pictures without the temporal filter: (H, W, 3) uint8.

        Transparent areas show the colour ``ground``. The model's outputs stay locked until the generator is closed.
        """
        plan, engine = self.plan, self.engine()
        entries = self.entries(engine)
        with ExitStack() as stack:
            if entries.raw_store is not None:
                stack.enter_context(self._locked(entries.raw))
            raw, extraction = entries.raw_outputs(), self.extraction
            chunks = ChunkRenderer(plan, engine, raw, self.context, extraction)
            self._extract(chunks, range(len(plan.chunks)), stack)
            samples = stack.enter_context(closing(chunks.samples(plan.first, plan.stop)))
            enlarge = self.enlarger(engine, range(len(plan.chunks)))
            compose = Composer.opened(plan, range(plan.first, plan.stop), enlarge, stack)
            for sample in samples:
                picture = to_uint8(sample.output if compose is None else compose(sample, sample.output))
                if picture.shape[2] == 4:
                    picture = composite_over(picture[..., :3], picture[..., 3], ground)
                yield from repeat(picture, len(plan.delivery.stamps(sample.index)))

    def _locked(self, entry: CacheEntry) -> AbstractContextManager[None]:
        """Lock a cache entry; if another run is filling it, wait until that run is done.

        Runs that differ only in strength or temporal filter share the entry of raw model outputs.
        """
        return entry.locked(wait_for=f"another run that renders {self.plan.clip.name}")

    def estimate(self, engine: Engine | None = None) -> Table:
        """Return the dry-run table of the render, from a trial on its first frames: time, disk and memory."""
        costs = [estimate_render(self.plan, engine or self.engine())]
        if self.extraction is not None:
            costs.append(without_result(estimate_render(self.extraction.plan, self.extraction.engine)))
        return add_up(costs)

    def summary(self, output: Path) -> Table:
        """Return the result table's facts that are known before the render."""
        plan, index = self.plan, self.plan.clip.index
        return {
            "output": str(output),
            "source": str(plan.clip.path),
            "source_part": [plan.first, plan.stop],
            "frames": plan.delivery.times.num_written,
            "size": [plan.picture.width, plan.picture.height],
            "working_size": list(plan.size),
            "shots": len({c.shot_first for c in plan.chunks}),
            "chunks": len(plan.chunks),
            "model": plan.model.name,
            "temporal": plan.settings.filter_name,
            "duration_s": round(float(Fraction(sum(index.durations()[plan.first : plan.stop])) * index.time_base), 3),
            "codec": plan.settings.encoding.codec,
            "depth": plan.picture.depth,
            "alpha": plan.picture.alpha,
        }


def estimate_render(plan: RenderPlan, engine: Engine) -> Table:
    """Return the dry-run table of a render, by running its first frames through all steps in a temporary folder."""
    encoding, form, (width, height) = plan.settings.encoding, plan.picture, plan.input_size
    encode = picture_encoder(encoding.codec, encoding.palette) if encoding.makes_pictures else None
    optimises = plan.model.optimises
    count = 1 if optimises else min(plan.num_frames, TRIAL_FRAMES)
    stop = plan.first + count
    if not optimises:  # warm up: the first call's extra cost occurs once
        engine(np.zeros((engine.batch, height, width, plan.pairing.in_channels), np.uint8))
    began, unpacked = time.perf_counter(), 0
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        reader = stack.enter_context(plan.clip.reader(plan.form(plan.size), plan.threads))
        frames = stack.enter_context(closing(reader.frames(plan.first, stop, plan.clip.index)))
        renderer = stack.enter_context(closing(FramePath(plan, engine).renderer()))
        compose = Composer.opened(plan, range(plan.first, stop), Enlarger(plan, ShotFaults(), engine), stack)
        with (
            closing(plan.segment(folder / "segment.nut")) as segment,
            closing(LosslessWriter(folder / "raw.nut", *plan.size, deep=plan.is_deep)) as raw,
        ):
            if plan.extraction is not None:  # any picture costs as much as the right one
                frames = (replace(frame, guides=(frame.rgb,)) for frame in frames)
            samples = renderer.stream(renderer.prepare(frame, (plan.first, stop)) for frame in frames)
            for sample, picture in filter_samples(samples, plan.settings.make_filter()):
                raw.write(sample.output)
                result = picture if compose is None else compose(sample, picture)
                segment.write(result, sample.pts)
                if encode:
                    unpacked += len(encode(resize(result, form.width, form.height)))
        seconds = time.perf_counter() - began
        encoded, raw_bytes = ((folder / n).stat().st_size for n in ("segment.nut", "raw.nut"))
    share = plan.num_frames / count
    return estimate(
        seconds * (_frames_like_the_first(plan) if optimises else share),
        (unpacked or encoded) * share,
        (encoded + raw_bytes) * share,
    )


def _frames_like_the_first(plan: RenderPlan) -> float:
    """Return the cost of an optimisation render in units of a shot's first frame: later ones take fewer steps."""
    assert plan.model.record is not None
    settings = plan.model.record.generator["settings"]
    shots = len({chunk.shot_first for chunk in plan.chunks})
    return float(shots + (plan.num_frames - shots) * settings["next_steps"] / settings["first_steps"])


def composed_ahead(
    composed: Generator[tuple[int, Callable[[], np.ndarray]], None, None], count: int
) -> Generator[tuple[int, np.ndarray], None, None]:
    """Yield the numbers and pictures of frames; ``count`` of them are begun before the first is waited for."""
    with closing(composed):
        waiting: deque[tuple[int, Callable[[], np.ndarray]]] = deque()
        for begun in composed:
            waiting.append(begun)
            if len(waiting) > count:
                number, compose = waiting.popleft()
                yield number, compose()
        yield from ((number, compose()) for number, compose in waiting)
