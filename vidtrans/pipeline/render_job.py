"""The part of a render that needs the engine: what is missing of every chunk, and joining them all."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidtrans.errors import ModelError
from vidtrans.events import Progress
from vidtrans.files import complete
from vidtrans.inference.engine import Engine, IdentityEngine
from vidtrans.model import IDENTITY, ModelRecord, find_model, load_generator, read_record
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import Pairing, make_pairing, pairing_record
from vidtrans.pipeline.chunk_files import ChunkStore, ChunkWriter, RawOutputs
from vidtrans.pipeline.context import Clip, Context
from vidtrans.pipeline.outputs import record, up_to_date
from vidtrans.pipeline.recipe import Recipe
from vidtrans.pipeline.stages import InferStage, RenderStage, media_libraries
from vidtrans.rendering.chunks import chunk_of, cut_into_chunks, spans
from vidtrans.rendering.outputs import lookback, raw_outputs
from vidtrans.rendering.settings import RenderingSettings
from vidtrans.settings import Size, Table, Time, from_table, parse_size, to_table
from vidtrans.temporal import FILTERS
from vidtrans.temporal.stream import Filter, Sample, filtered
from vidtrans.video.encoder import EncodingSettings, PictureFormat, SegmentWriter
from vidtrans.video.join import Sound, Timing, join
from vidtrans.video.reader import ClipReader


@dataclass(frozen=True)
class Look:
    """A model that was found: its file (None for identity), digest, name and record."""

    path: Path | None
    digest: str
    name: str
    record: ModelRecord | None

    @property
    def pairing(self) -> Pairing:
        """How the input is made from a raw frame; the identity model takes the frame itself."""
        if self.record is None:
            return make_pairing(PAIRINGS, "aligned", {})
        return make_pairing(PAIRINGS, self.record.pairing["name"], self.record.pairing["settings"])


def find_look(name: str, context: Context) -> Look:
    """Raises ModelError where there is no such model, or its file is none."""
    path = find_model(name)
    if path is None:
        return Look(None, IDENTITY, IDENTITY, None)
    try:
        return Look(path, context.cache.digest(path), path.stem, read_record(path))
    except PermissionError:
        raise ModelError(str(path), "permission denied", "make the file readable") from None


@dataclass(frozen=True)
class RenderSettings:
    """The recipe of a render, resolved for a look."""

    rendering: RenderingSettings
    encoding: EncodingSettings
    filter_name: str
    filter_settings: Any

    @classmethod
    def of(cls, recipe: Recipe, look: Look) -> RenderSettings:
        """The identity model is for checking, and is filtered only when that is asked for. Raises UsageError."""
        name, table = recipe.choice("temporal")
        if look.path is None and "name" not in recipe.tables.get("temporal", {}):
            name, table = "off", {}
        return cls(
            recipe.settings("rendering", RenderingSettings),
            recipe.settings("encoding", EncodingSettings),
            name,
            from_table(FILTERS.load(name).Settings, table, "temporal"),
        )

    def make_filter(self) -> Filter:
        made: Filter = FILTERS.load(self.filter_name)(self.filter_settings)
        return made

    def filter_record(self) -> Table:
        version = FILTERS.load(self.filter_name).version
        return {"name": self.filter_name, "version": version, "settings": to_table(self.filter_settings)}

    def for_key(self) -> Table:
        return {
            "rendering": to_table(self.rendering),
            "encoding": self.encoding.for_key(),
            "filter": self.filter_record(),
        }


def load_engine(look: Look, settings: RenderingSettings, context: Context) -> Engine:
    """The engine that runs the look. Raises ModelError, DeviceError."""
    if look.path is None:
        return IdentityEngine()
    from vidtrans.inference.device import resolve_device
    from vidtrans.inference.torch_engine import TorchEngine

    device = resolve_device(context.device)
    return TorchEngine(load_generator(look.path)[0], device, settings.precision)


class RenderJob:
    """One clip, one look, one set of settings."""

    def __init__(
        self,
        clip: Clip,
        look: Look,
        settings: RenderSettings,
        context: Context,
        start: Time | None,
        end: Time | None,
    ) -> None:
        self.clip, self.look, self.context = clip, look, context
        self.settings, self.rendering = settings, settings.rendering
        self.trimmed = start is not None or end is not None
        self.first, self.stop = clip.trim(start, end)
        self.pairing = look.pairing
        self.size = self._working_size()
        self.chunks = cut_into_chunks(self.first, self.stop, clip.shots, self.rendering.chunk_frames)
        index = clip.index
        self.picture = PictureFormat(index.width, index.height, index.sample_aspect_ratio, index.time_base, index.rate)

    def _working_size(self) -> tuple[int, int]:
        """(width, height) at which the model runs."""
        index = self.clip.index
        if self.rendering.size == "trained":
            size = Size(short=self.look.record.size) if self.look.record else Size()
        else:
            size = parse_size(self.rendering.size)
        return size.of(index.width, index.height)

    def render(self, output: Path, request: str) -> Table:
        """Make what is missing of every chunk, join the segments and the sound, record and name the result."""
        engine = load_engine(self.look, self.rendering, self.context)
        infer = self._infer_stage(engine)
        segments = self._render_stage(infer)
        cache = self.context.cache
        with ExitStack() as stack:
            raw_entry = cache.entry(infer.name, infer.key)
            segment_entry = cache.entry(segments.name, segments.key)
            stack.enter_context(segment_entry.locked())
            store = ChunkStore(segment_entry, ".nut")
            missing = [c.number for c in self.chunks if not store.is_done(c.number)]
            # What the identity model returns is the source: nothing to keep.
            kept = None if self.look.record is None else ChunkStore(raw_entry, ".nut")
            raw = RawOutputs(kept, self.chunks, self.size)
            if missing:
                if kept is not None:
                    stack.enter_context(raw_entry.locked())
                self._fill(engine, raw, store, missing)
                if kept is not None and all(kept.is_done(c.number) for c in self.chunks):
                    raw_entry.finish({"frames": self.stop - self.first})
            counts = {"frames_inferred": raw.num_inferred, "frames_encoded": self._num_frames(missing)}
            # Another run may have put something there meanwhile.
            up_to_date(cache, output, request, [self.clip.path], self.context.overwrite)
            self.context.report(Progress("joining", 0, None))
            with complete(output) as temporary:
                packets = self._join([store.path(c.number) for c in self.chunks], temporary)
                result = self.summary(output) | counts | {"sound_packets": packets}
                record(cache, output, temporary, request, result)
            segment_entry.finish({"frames": self.stop - self.first})
        return result

    def _num_frames(self, chunks: Sequence[int]) -> int:
        return sum(self.chunks[n].stop - self.chunks[n].first for n in chunks)

    def _fill(self, engine: Engine, raw: RawOutputs, store: ChunkStore, missing: Sequence[int]) -> None:
        """Render the missing chunks, in runs of neighbours, in one pass over the frames of each run."""
        method = self.settings.make_filter()
        total = self.stop - self.first
        done = total - self._num_frames(missing)
        for run, lo, hi in spans(self.chunks, missing, method.radius):
            with ExitStack() as stack:
                samples = stack.enter_context(closing(self._samples(engine, raw, lo, hi)))
                writer = stack.enter_context(closing(ChunkWriter(store, run, self._segment)))
                for sample, picture in filtered(samples, method):
                    if not run[0].first <= sample.index < run[-1].stop:
                        continue
                    writer.write(sample.index, picture, sample.pts)
                    done += 1
                    self.context.report(Progress(f"rendering {self.clip.path.name}", done, total))
                    self.context.stop.check()

    def _segment(self, path: Path) -> SegmentWriter:
        return SegmentWriter(path, self.picture, self.settings.encoding)

    def _samples(self, engine: Engine, raw: RawOutputs, lo: int, hi: int) -> Generator[Sample, None, None]:
        """Frames [lo, hi) with the model's raw output: from the store where it is there, else inferred and stored."""
        shot_first: Callable[[int], int] = lambda i: chunk_of(self.chunks, i).shot_first  # noqa: E731
        begin = lookback(self.pairing, lo, shot_first(lo))
        with ExitStack() as stack:
            reader = stack.enter_context(
                ClipReader(self.clip.path, size=self.size, threads=self.context.decode_threads)
            )
            frames = stack.enter_context(closing(reader.frames(begin, hi, self.clip.index)))
            stack.enter_context(closing(raw))
            samples = raw_outputs(frames, lo, shot_first, self.pairing, engine, raw.known)
            for sample in stack.enter_context(closing(samples)):
                raw.keep(sample.index, sample.output)
                yield sample

    def _infer_stage(self, engine: Engine) -> InferStage:
        return InferStage(
            source=self.clip.digest,
            first=self.first,
            stop=self.stop,
            shots=[s for s in self.clip.shots if self.first <= s < self.stop],
            chunk_frames=self.rendering.chunk_frames,
            model=self.look.digest,
            pairing=pairing_record(self.pairing),
            size=list(self.size),
            engine=dict(engine.identity),
            libraries=media_libraries(),
        )

    def _render_stage(self, infer: InferStage) -> RenderStage:
        return RenderStage(
            outputs=infer.key,
            filter=self.settings.filter_record(),
            encoding=self.settings.encoding.for_key(),
            picture={k: str(v) for k, v in self.picture.__dict__.items()},
            libraries=media_libraries(),
        )

    def _join(self, segments: list[Path], output: Path) -> int:
        """Give the frames their own timestamps back; a trimmed clip starts at 0 and takes its sound along."""
        index = self.clip.index
        pts = index.pts[self.first : self.stop]
        durations = index.durations()[self.first : self.stop]
        sound = Sound(self.clip.path)
        if self.trimmed:
            begin, end = pts[0], pts[-1] + durations[-1]
            sound = Sound(self.clip.path, begin * index.time_base, end * index.time_base, -begin * index.time_base)
            pts = tuple(p - begin for p in pts)
        return join(segments, Timing(pts, durations, index.time_base), output, sound, self.context.report)

    def summary(self, output: Path) -> Table:
        index = self.clip.index
        return {
            "output": str(output),
            "frames": self.stop - self.first,
            "size": [index.width, index.height],
            "working_size": list(self.size),
            "shots": len({c.shot_first for c in self.chunks}),
            "chunks": len(self.chunks),
            "model": self.look.name,
            "temporal": self.settings.filter_name,
            "duration_s": round(float(Fraction(sum(index.durations()[self.first : self.stop])) * index.time_base), 3),
        }
