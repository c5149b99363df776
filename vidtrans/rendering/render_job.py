"""Execute a planned render: render its missing chunks and join all chunks; or estimate its time and disk space.

The faults (systematic errors) of the model's pictures of a shot, which are cached, and the colours of a clip are
measured on a few frames. These are counted from the first frame of the shot, so that they are the same for any part of
a clip, on any host.
"""

from __future__ import annotations

import tempfile
import time
from bisect import bisect_right
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from functools import cached_property, partial
from itertools import repeat
from pathlib import Path

import numpy as np

from vidtrans.clips.sampling import read_clip_frames, spread_numbers
from vidtrans.core.costs import TRIAL_FRAMES, add_estimates, estimate, without_output_bytes
from vidtrans.core.events import Progress
from vidtrans.core.settings import Table
from vidtrans.core.threads import Prefetcher, StepClock
from vidtrans.flow.warping import shrink
from vidtrans.grading.transfer import AffineColours, affine_colours
from vidtrans.inference.engine import Engine, wrong_products_warning
from vidtrans.models.loaded_model import load_engine
from vidtrans.models.model_chain import ModelChain, load_chain_engine
from vidtrans.output.result import Result
from vidtrans.pairing.base import input_frames
from vidtrans.rendering.cache_entries import RenderEntries, infer_stage
from vidtrans.rendering.chain import ChunkRenderer, FindColours, FramePath, RegionLook, RenderChain
from vidtrans.rendering.enlarger import Enlarger, ShotFaults
from vidtrans.rendering.extraction import ClipExtraction, FrameExtractor, resized
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.regions import NO_REGIONS, RegionPlans
from vidtrans.rendering.skipped_frames import Draft, RenderCount
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry
from vidtrans.store.chunking import Chunk
from vidtrans.store.chunks import RawOutputs, StateStore
from vidtrans.store.stages import FaultsStage
from vidtrans.upscaling import VERSION
from vidtrans.upscaling.array_pictures import unit
from vidtrans.upscaling.enlarging import Faults, find_faults
from vidtrans.video.colour.conversion import composite_over, to_uint8
from vidtrans.video.images.picture import read_picture, resize
from vidtrans.video.io.encoder import LosslessWriter, picture_encoder

# Offsets, from a shot's first frame, of the frames in which the faults of a model's pictures are measured. They are not
# 0, because a shot may begin in a fade, and small, because these frames are read for any part of a shot.
SAMPLE_OFFSETS = (4, 14, 24)
PALETTE_FRAMES = 5  # Number of a clip's frames from which the map of its colours to a palette's is learned
# Fields of ``InferStage`` that are not in the cache key of faults, because they differ between parts of a clip
PART_PARAMETERS = ("first", "stop", "shots", "chunk_frames", "held", "extraction", "lead")


def sample_frame_numbers(first: int, stop: int) -> list[int]:
    """Return the numbers of the frames of a shot [first, stop) in which a model's faults are measured."""
    return [first + n for n in SAMPLE_OFFSETS if first + n < stop] or [(first + stop - 1) // 2]


def find_shot_faults(plan: RenderPlan, engine: Engine, chunks: Iterable[Chunk], context: Context) -> ShotFaults:
    """Return the faults (lost detail, noise) of the model's pictures in each shot, cached or newly measured."""
    if not plan.is_measured:
        return ShotFaults()
    outputs: Table = {k: v for k, v in asdict(infer_stage(plan, engine)).items() if k not in PART_PARAMETERS}
    outputs |= {"exposure": plan.exposure.for_key()} if plan.exposure else {}
    outputs["extracts"] = plan.extraction is not None
    starts = plan.clip.shots
    ends = (*starts[1:], plan.clip.index.num_frames)
    shots = dict.fromkeys(bisect_right(starts, chunk.first) - 1 for chunk in chunks)
    found = {}
    for count, shot in enumerate(shots, 1):
        found[starts[shot]] = _shot_faults(plan, engine, (starts[shot], ends[shot]), outputs, context)
        context.stop.check()
        context.report(Progress(f"measuring {plan.clip.name}", count, len(shots), "shots"))
    return ShotFaults(found)


def _shot_faults(plan: RenderPlan, engine: Engine, shot: tuple[int, int], outputs: Table, context: Context) -> Faults:
    """Return the faults of the model's pictures in a ``shot`` [first, stop). ``outputs``: the key of the outputs."""
    numbers = sample_frame_numbers(*shot)
    stage = FaultsStage(outputs, numbers, VERSION)
    entry = context.cache.entry(stage.name, stage.key)
    cached = entry.read()
    if cached is None:
        cached = asdict(find_faults(_outputs_and_sources(plan, engine, shot, numbers, context)))
        with entry.locked(wait_for=f"another run that renders {plan.clip.name}"):
            entry.finish(cached)
    return Faults(**cached)


def find_palette(plan: RenderPlan, engine: Engine, context: Context) -> AffineColours | None:
    """Learn the map from the colours of the model's pictures to those of the palette; None without a palette.

    The map is the same for any part of the clip, unless the input includes a mask or paint. Raises MediaError.
    """
    if plan.strokes is None or (palette := plan.strokes.settings.pictures.get("palette")) is None:
        return None
    begin, end = 0, plan.clip.index.num_frames
    if plan.input_mask or plan.paint:  # These exist only for the frames of the plan
        begin, end = plan.first, plan.stop
    outputs = []
    for number in (begin + n for n in spread_numbers(end - begin, PALETTE_FRAMES)):
        first = max(shot for shot in plan.clip.shots if shot <= number)
        [(output, _)] = _outputs_and_sources(plan, engine, (first, number + 1), [number], context)
        outputs.append(np.rint(output * 255).astype(np.uint8))
    return affine_colours(outputs, [read_picture(palette)])


def _outputs_and_sources(
    plan: RenderPlan, engine: Engine, shot: tuple[int, int], numbers: Sequence[int], context: Context
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Render the frames ``numbers`` of a shot; return (output, source) pairs, (h, w, 3) float32 in [0, 1] each."""
    rendering = replace(plan.rendering, draft_step=1, duplicate_threshold=0)
    whole = replace(plan, settings=replace(plan.settings, rendering=rendering))
    extractor = None if plan.drawn else FrameExtractor.of(plan.model, rendering, context)
    needed = sorted({n for number in numbers for n in (*input_frames(plan.pairing, number, shot[0]), number)})
    sources, prepared = [], []
    with closing(FramePath(whole, engine).renderer()) as renderer:
        for frame in read_clip_frames(plan.clip, needed, plan.form(plan.source_size), context):
            frame = replace(frame, rgb=plan.exposure(frame)) if plan.exposure else frame
            small = resized(frame, plan.size, extractor)
            if frame.index not in numbers:
                renderer.remember(small)
                continue
            sources.append(shrink(unit(frame.rgb), plan.size))
            span = (frame.index, frame.index + 1) if plan.model.is_recurrent else shot
            prepared.append(renderer.prepare(small, span, restarts=True))
        outputs = [unit(sample.output) for sample in renderer.stream(prepared)]
    return list(zip(outputs, sources, strict=True))


@dataclass(frozen=True)
class RenderJob:
    """A render ``plan`` with the context that executes it.

    ``regions``: regions of the picture with separate styles. ``facts``: values added to the result table. ``origin``:
    the digest of the request whose result is corrected. Raises UsageError for a style that cannot paint a region.
    """

    plan: RenderPlan
    context: Context
    facts: Table = field(default_factory=dict)
    origin: str = ""
    regions: RegionPlans = NO_REGIONS

    def __post_init__(self) -> None:
        self.regions.check(self.plan)

    @property
    def draft(self) -> Draft | None:
        """Return the draft of the plan or of a region's style; None if every frame is rendered."""
        return next((draft for plan in (self.plan, *self.regions.looks) if (draft := plan.draft)), None)

    @cached_property
    def looks(self) -> list[RenderJob]:
        """Return the render job of each region's style."""
        return [RenderJob(plan, self.context) for plan in self.regions.looks]

    def engine(self) -> Engine:
        """Load the model's engine, or get it from the context. Raises ModelError, DeviceError, UsageError."""
        plan = self.plan
        if isinstance(plan.model, ModelChain):
            return load_chain_engine(plan.model, plan.rendering, plan.source_size, self.context)
        return load_engine(plan.model, plan.rendering, self.context)

    @cached_property
    def extraction(self) -> ClipExtraction | None:
        """Return the pictures of the extractor, a network that makes the model's input; None without an extractor.

        Raises the errors of ``engine``.
        """
        return ClipExtraction.of(self.plan, self.context)

    def entries(self, engine: Engine) -> RenderEntries:
        """Return the cache entries of raw outputs and encoded chunks for the plan and its engine."""
        extraction = self.extraction.stage.key if self.extraction else ""
        looks = [look.entries(look.engine()).segments.key for look in self.looks]
        regions = self.regions.for_key(looks, self.plan.feather.for_key())
        return RenderEntries.find(self.plan, engine, self.context.cache, extraction, regions)

    def raw_entries(self, engine: Engine) -> list[CacheEntry]:
        """Return the cache entries of all raw outputs, in the order in which every process locks them."""
        entries = self.entries(engine)
        own = [entries.raw] if entries.raw_store is not None else []
        own += [raw for look in self.looks for raw in look.raw_entries(look.engine())]
        return sorted(own, key=lambda entry: entry.key)

    def chain(self, engine: Engine, *, stored: bool = True, clock: StepClock | None = None) -> RenderChain:
        """Create the chain of stages of the plan. ``stored``: read raw outputs from the cache, and store new outputs.

        ``clock``: counts the time of each step.
        """
        plan, colours = self.plan, partial(find_palette, self.plan, engine, self.context)
        raw = RawOutputs(None, plan.chunks, plan.size, deep=plan.is_deep)
        raw = self.entries(engine).raw_outputs() if stored else raw
        return RenderChain(
            plan, engine, raw, self.context, extraction=self.extraction, clock=clock, find_colours=colours
        )

    def chunks(self, engine: Engine, *, stored: bool = True) -> ChunkRenderer:
        """Create the renderer of the plan's chunks, with the region styles. ``stored``: as for ``chain``."""
        own, looks = self.chain(engine, stored=stored), list[RegionLook]()
        for look in self.looks:
            engine = look.engine()
            chain = look.chain(engine, stored=stored, clock=own.clock)
            looks.append(RegionLook(chain, partial(look.enlarger, engine)))
        return ChunkRenderer(own, looks, self.regions.layers)

    def _extract(self, chunks: ChunkRenderer, missing: Sequence[int], stack: ExitStack) -> None:
        """Make the extractors' pictures for the missing chunks; prevent their deletion until the ``stack`` closes."""
        extractions = [job.extraction for job in (self, *self.looks) if job.extraction is not None and missing]
        entries = {one.entry.key: one.entry for one in extractions}
        with ExitStack() as locks:  # Released early, because renders by other models read the extractor's entry, too
            for key in sorted(entries):
                locks.enter_context(self._lock(entries[key]))
            chunks.extract(missing)
            for entry in entries.values():
                stack.callback(entry.pin().release)

    def render(self, result: Result) -> Table:
        """Render the missing chunks, join all chunks with the sound into the ``result``, and return its table."""
        plan, engine = self.plan, self.engine()
        entries = self.entries(engine)
        with ExitStack() as stack:
            stack.enter_context(self._lock(entries.segments))
            store, missing = entries.store, entries.missing()
            for raw in self.raw_entries(engine) if missing else []:
                stack.enter_context(self._lock(raw))
            states, chunks = StateStore(entries.segments), self.chunks(engine)
            self._extract(chunks, missing, stack)
            if missing:
                chunks.render(store, states, missing, self.enlarger(engine, missing))
                self.finish_raw(engine)
            counts = chunks.counts(missing) | self._engine_table(engine, chunks.chain, chunks.looks) | self.facts
            table = result.write(lambda path: self.summary(result.output) | counts | self._join(entries, result, path))
            store.entry.finish({"frames": plan.num_frames})
            states.clear()
        return table

    def finish_raw(self, engine: Engine) -> None:
        """Mark the cache entries of raw outputs that have all their chunks as complete."""
        entries = self.entries(engine)
        if entries.raw_store is not None and all(
            entries.raw_store.is_done(c.number) for c in entries.chunks_with_output
        ):
            entries.raw.finish({"frames": self.plan.num_frames})
        for look in self.looks:
            look.finish_raw(look.engine())

    def enlarger(self, engine: Engine, chunks: Sequence[int]) -> Enlarger:
        """Create the enlarger for the chunks with these numbers; first measure the faults that enlarging corrects."""
        own_chunks = [self.plan.chunks[number] for number in chunks]
        return Enlarger(self.plan, find_shot_faults(self.plan, engine, own_chunks, self.context), engine)

    def _engine_table(self, engine: Engine, chain: RenderChain, looks: Sequence[RegionLook] = ()) -> Table:
        """Return the entries of the result table about the engine; with regions, of the first model that paints."""
        table: Table = {"engine": " ".join(engine.identity[k] for k in ("engine", "precision") if k in engine.identity)}
        if chain.count.inferred and (tile := getattr(engine, "tile", None)):
            table["tile"] = tile
            self.context.note(f"not enough memory for whole frames: they were rendered in tiles of {tile} pixels")
        if exact := getattr(engine, "exact", []):
            table["exact"] = exact
            self.context.warn_once(wrong_products_warning(exact, engine.precision))
        if (psnr := chain.count.psnr) is not None:
            table["draft_psnr"] = round(psnr, 2)
        for look, one in zip(self.looks, looks, strict=True) if looks else ():
            own = look._engine_table(look.engine(), one.chain)
            table = table | own if self.plan.model.is_identity and look is self.looks[0] else own | table
        return table

    def _join(self, entries: RenderEntries, result: Result, path: Path) -> Table:
        """Join all chunks and the sound into the file or folder ``path``; return the table of the joined output."""
        self.context.begin("joining")
        segments = [entries.store.path(chunk.number) for chunk in entries.chunks_with_output]
        assembly = self.plan.delivery.assembly(result.folder)
        return assembly.write(segments, path, entries.store.entry.folder, self.context)

    def pictures(self, *, stored: bool = False) -> Generator[tuple[int, np.ndarray], None, None]:
        """Yield the number of each frame, and the picture that ``render`` would encode.

        Pictures are (H, W, 3), or (H, W, 4) with alpha, uint8 or uint16. All stages run in parallel, some frames before
        the consumer. ``stored``: read the models' outputs from the cache or store them in it, and lock them until the
        generator closes.
        """
        plan, engine = self.plan, self.engine()
        with ExitStack() as stack:
            for raw in self.raw_entries(engine) if stored else []:
                stack.enter_context(self._lock(raw))
            chunks = self.chunks(engine, stored=stored)
            self._extract(chunks, range(len(plan.chunks)), stack)
            enlarge = self.enlarger(engine, range(len(plan.chunks)))
            made = chunks.frames(stack, plan.frames, plan.stop, enlarge)
            for sample, _ in stack.enter_context(closing(Prefetcher(made, chunks.result_capacity, "results"))):
                self.context.stop.check()
                yield sample.index, sample.output

    def unfiltered(self, background: tuple[int, int, int]) -> Generator[np.ndarray, None, None]:
        """Yield the pictures of the result as rendered without the temporal filter, (H, W, 3) uint8.

        Transparent areas have the colour ``background``. The models' outputs are locked until the generator closes.
        """
        regions = replace(self.regions, looks=tuple(_without_filter(look) for look in self.regions.looks))
        unfiltered_job = replace(self, plan=_without_filter(self.plan), regions=regions)
        with closing(unfiltered_job.pictures(stored=True)) as pictures:
            for number, made in pictures:
                picture = to_uint8(made)
                if picture.shape[2] == 4:
                    picture = composite_over(picture[..., :3], picture[..., 3], background)
                yield from repeat(picture, len(self.plan.delivery.stamps(number)))

    def _lock(self, entry: CacheEntry) -> AbstractContextManager[None]:
        """Lock a cache entry; if another process is filling it, wait until that process ends.

        Renders that differ only in strength or temporal filter share the cache entry of raw model outputs.
        """
        return entry.locked(wait_for=f"another run that renders {self.plan.clip.name}")

    @property
    def _regions(self) -> list[Table]:
        """Return an entry of the result table for each region: its mask, model and temporal filter."""
        plans = [(x, self.plan if x.look is None else self.regions.looks[x.look]) for x in self.regions.layers]
        return [
            {
                "mask": layer.mask.label,
                "inverted": layer.mask.inverted,
                "model": plan.model.name,
                "temporal": plan.settings.filter_name,
            }
            for layer, plan in plans
        ]

    def estimate(self, engine: Engine | None = None) -> Table:
        """Estimate time, disk space and memory by a trial on the first frames; return the dry-run table."""
        engine = engine or self.engine()
        costs = [
            estimate_render(self.plan, engine, self.context, partial(find_palette, self.plan, engine, self.context))
        ]
        if self.extraction is not None:
            costs.append(
                without_output_bytes(estimate_render(self.extraction.plan, self.extraction.engine, self.context))
            )
        costs += [without_output_bytes(look.estimate()) for look in self.looks]
        if self.plan.delivery.makes_between:
            between, kind = self.plan.delivery.between, np.uint16 if self.plan.is_deep else np.uint8
            picture = np.zeros((self.plan.picture.height, self.plan.picture.width, 3), kind)
            seconds = between.trial(picture, TRIAL_FRAMES, self.plan.threads)
            costs.append(estimate(seconds * len(between), 0, 0))
        return add_estimates(costs)

    def summary(self, output: Path) -> Table:
        """Return the result table's keys that do not depend on the rendered pictures."""
        plan, index = self.plan, self.plan.clip.index
        frames, durations = plan.frames, index.durations()[plan.frames.start : plan.stop]
        strokes = next((one.strokes for one in (plan, *self.regions.looks) if one.strokes), None)
        return {
            "output": str(output),
            "source": str(plan.clip.path),
            "source_part": [frames.start, frames.stop],
            "frames": plan.delivery.result_times.num_written,
            "size": [plan.picture.width, plan.picture.height],
            "working_size": list(plan.size),
            "shots": len({c.shot_first for c in plan.chunks}),
            "chunks": len(plan.chunks),
            "model": plan.model.name,
            **({"regions": self._regions} if self.looks else {}),
            **({"strokes": strokes.medium.name} if strokes else {}),
            "temporal": plan.settings.filter_name,
            "duration_s": round(float(Fraction(sum(durations)) * index.time_base), 3),
            "codec": plan.settings.encoding.codec,
            "depth": plan.picture.depth,
            "alpha": plan.picture.alpha,
        }


def _without_filter(plan: RenderPlan) -> RenderPlan:
    """Return the plan with the temporal filter turned off."""
    return replace(plan, settings=plan.settings.without_filter())


class _TrialOutputs(RawOutputs):
    """A store of raw outputs for an estimate, which writes them to one file and never reads them."""

    def __init__(self, plan: RenderPlan, path: Path) -> None:
        super().__init__(None, plan.chunks, plan.size, deep=plan.is_deep)
        self._file = LosslessWriter(path, *plan.size, deep=plan.is_deep)

    def needs(self, frame: int) -> bool:
        """Return True, so that every raw output is written."""
        return True

    def write(self, frame: int, output: np.ndarray) -> None:
        """Append a frame's raw output to the file."""
        self._file.write(output)

    def close(self) -> None:
        self._file.close()


class _PlaceholderPictures:
    """Source frames in place of an extractor's pictures, for an estimate, because reading both takes the same time."""

    def __init__(self, plan: RenderPlan) -> None:
        self.count, self._frames = RenderCount(), plan.clip.cursor(plan.form(plan.input_size), plan.threads)

    def make(self, chunks: Sequence[Chunk]) -> None:
        """Do nothing, because source frames need no extraction."""

    def pictures(self) -> _PlaceholderPictures:
        """Return this object, which is also the reader."""
        return self

    def read(self, frame: int) -> np.ndarray:
        """Return the source frame at the size of the model's input, (H, W, 3) uint8."""
        return to_uint8(self._frames(frame).rgb)

    def close(self) -> None:
        self._frames.close()


def estimate_render(
    plan: RenderPlan, engine: Engine, context: Context, find_colours: FindColours = lambda: None
) -> Table:
    """Estimate a render by running its first frames through all stages in a temporary folder.

    ``find_colours``: see ``RenderChain``. Returns the dry-run table.
    """
    encoding, form, (width, height) = plan.settings.encoding, plan.picture, plan.input_size
    encode = picture_encoder(encoding.codec, encoding.palette) if encoding.makes_pictures else None
    optimises = plan.model.optimises
    count = 1 if optimises else min(plan.num_frames, TRIAL_FRAMES)
    stop = plan.first + count
    if not optimises:  # Warm-up, because the first call of an engine takes longer
        engine(np.zeros((engine.batch, height, width, plan.pairing.in_channels), np.uint8))
    if plan.strokes is not None:
        plan.strokes.warm_up(deep=plan.is_deep)
    began, unpacked = time.perf_counter(), 0
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        segment = stack.enter_context(closing(plan.segment(folder / "segment.nut")))
        raw = _TrialOutputs(plan, folder / "raw.nut")
        pictures = stack.enter_context(closing(_PlaceholderPictures(plan))) if plan.extraction is not None else None
        chain = RenderChain(plan, engine, raw, context, extraction=pictures, find_colours=find_colours, capacity=0)
        frame_range, enlarge = range(plan.first, stop), Enlarger(plan, ShotFaults(), engine)
        for sample in chain.frames(stack, frame_range, plan.first, stop, enlarge):
            segment.write(sample.output, sample.pts)
            if encode:
                unpacked += len(encode(resize(sample.output, form.width, form.height)))
        stack.close()
        seconds = time.perf_counter() - began
        encoded, raw_bytes = ((folder / n).stat().st_size for n in ("segment.nut", "raw.nut"))
    share = plan.num_frames / count
    return estimate(
        seconds * (_first_frame_equivalents(plan) if optimises else share),
        (unpacked or encoded) * share,
        (encoded + raw_bytes) * share,
    )


def _first_frame_equivalents(plan: RenderPlan) -> float:
    """Return the time of a render by a model that optimises each frame, in units of the time of a shot's first frame.

    Later frames of a shot take fewer steps.
    """
    assert plan.model.record is not None
    settings = plan.model.record.generator["settings"]
    shots = len({chunk.shot_first for chunk in plan.chunks})
    return float(shots + (plan.num_frames - shots) * settings["next_steps"] / settings["first_steps"])
