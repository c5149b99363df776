"""The third step: a video and a model in, the stylised video with its sound out."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vidtrans.errors import Interrupted, UsageError
from vidtrans.events import Progress
from vidtrans.files import complete, digest_of
from vidtrans.inference.engine import Engine, IdentityEngine
from vidtrans.model import IDENTITY, ModelRecord, find_model, load_generator, read_record
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import Pairing, make_pairing
from vidtrans.pipeline.chunk_files import ChunkStore, ChunkWriter, RawOutputs
from vidtrans.pipeline.context import Clip, Context, content_digest, open_clip
from vidtrans.pipeline.outputs import record, up_to_date
from vidtrans.pipeline.recipe import Recipe
from vidtrans.pipeline.stages import InferStage, RenderStage
from vidtrans.rendering.chunks import chunk_of, cut_into_chunks, spans
from vidtrans.rendering.outputs import lookback, raw_outputs
from vidtrans.rendering.settings import RenderingSettings
from vidtrans.settings import Size, Table, Time, from_table, parse_size, to_table
from vidtrans.temporal import FILTERS
from vidtrans.temporal.stream import Filter, Sample, filtered
from vidtrans.video.encoder import EncodingSettings, PictureFormat, SegmentWriter
from vidtrans.video.join import Sound, Timing, join
from vidtrans.video.reader import ClipReader

RECIPE_TABLES = ("rendering", "temporal", "encoding")


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
    return Look(path, context.cache.digest(path), path.stem, read_record(path))


def default_output(video: Path, model: str, settings: EncodingSettings) -> Path:
    return Path(f"{video.resolve().stem}.{Path(model).stem}{settings.default_suffix()}")


def stylize(
    video: Path,
    model: str,
    output: Path | None,
    recipe: Recipe,
    context: Context,
    *,
    start: Time | None = None,
    end: Time | None = None,
) -> Table:
    """Render a model onto one video and return what is reported of it.

    Every frame keeps its timestamp, sound is copied packet for packet. Raises UsageError, MediaError, ModelError,
    DeviceError, Interrupted.
    """
    began = time.monotonic()
    encoding = recipe.settings("encoding", EncodingSettings)
    output = output or default_output(video, model, encoding)
    encoding.check_container(output)
    digest = content_digest(context, video)
    look = find_look(model, context)
    request = digest_of(
        {
            "command": "stylize",
            "source": digest,
            "model": look.digest,
            "tables": recipe.only(*RECIPE_TABLES),
            "span": [str(start), str(end)],
            "device": context.device,
        }
    )
    sources = [video, look.path] if look.path else [video]
    if (held := up_to_date(context.cache, output, request, sources, context.overwrite)) is not None:
        return held | {"output": str(output), "seconds": round(time.monotonic() - began, 3), "cached": True}
    job = _Job(open_clip(context, video), look, recipe, encoding, context, start, end)
    if context.dry_run:
        return job.summary(output) | {"dry_run": True, "cached": False}
    result = job.render(output)
    record(context.cache, output, request, result)
    context.cache.trim("infer", int(context.cache_limit_gb * 1e9))
    return result | {"seconds": round(time.monotonic() - began, 3), "cached": False}


def load_engine(look: Look, settings: RenderingSettings, context: Context) -> Engine:
    """The engine that runs the look. Raises ModelError, DeviceError."""
    if look.path is None:
        return IdentityEngine()
    from vidtrans.inference.device import resolve_device
    from vidtrans.inference.torch_engine import TorchEngine

    device = resolve_device(context.device)
    return TorchEngine(load_generator(look.path)[0], device, settings.precision)


class _Job:
    """One clip, one look, one set of settings."""

    def __init__(
        self,
        clip: Clip,
        look: Look,
        recipe: Recipe,
        encoding: EncodingSettings,
        context: Context,
        start: Time | None,
        end: Time | None,
    ) -> None:
        self.clip, self.look, self.encoding, self.context = clip, look, encoding, context
        self.trimmed = start is not None or end is not None
        self.first, self.stop = clip.trim(start, end)
        self.settings = recipe.settings("rendering", RenderingSettings)
        self.pairing = look.pairing
        self.size = self._working_size()
        self.filter_name, self.filter_table = self._filter(recipe)
        self.chunks = cut_into_chunks(self.first, self.stop, clip.shots, self.settings.chunk_frames)
        index = clip.index
        self.picture = PictureFormat(index.width, index.height, index.sample_aspect_ratio, index.time_base, index.rate)

    def _working_size(self) -> tuple[int, int]:
        """(width, height) at which the model runs."""
        index = self.clip.index
        if self.settings.size == "trained":
            size = Size(short=self.look.record.size) if self.look.record else Size()
        else:
            size = parse_size(self.settings.size)
        return size.of(index.width, index.height)

    def _filter(self, recipe: Recipe) -> tuple[str, Table]:
        """The identity model is for checking and is filtered only when that is asked for."""
        name, table = recipe.choice("temporal")
        if self.look.record is None and "name" not in recipe.tables.get("temporal", {}):
            name, table = "off", {}
        cls = FILTERS.load(name)
        return name, to_table(from_table(cls.Settings, table, "temporal"))

    def _make_filter(self) -> Filter:
        cls = FILTERS.load(self.filter_name)
        made: Filter = cls(from_table(cls.Settings, self.filter_table, "temporal"))
        return made

    def render(self, output: Path) -> Table:
        """Make what is missing of every chunk, join the segments and the sound, and name the result."""
        engine = load_engine(self.look, self.settings, self.context)
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
            self.context.report(Progress("joining", 0, None))
            with complete(output) as temporary:
                packets = self._join([store.path(c.number) for c in self.chunks], temporary)
            segment_entry.finish({"frames": self.stop - self.first, "source": self.clip.path.name})
        encoded = sum(self.chunks[n].stop - self.chunks[n].first for n in missing)
        counts = {"frames_inferred": raw.num_inferred, "frames_encoded": encoded, "sound_packets": packets}
        return self.summary(output) | counts

    def _fill(self, engine: Engine, raw: RawOutputs, store: ChunkStore, missing: Sequence[int]) -> None:
        """Render the missing chunks, in runs of neighbours, in one pass over the frames of each run."""
        method = self._make_filter()
        done = sum(c.stop - c.first for c in self.chunks if c.number not in set(missing))
        total = self.stop - self.first
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
                    if self.context.stop.requested:
                        raise Interrupted(self.context.stop.exit_status or 130)

    def _segment(self, path: Path) -> SegmentWriter:
        return SegmentWriter(path, self.picture, self.encoding)

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
            chunk_frames=self.settings.chunk_frames,
            model=self.look.digest,
            pairing={
                "name": self.pairing.name,
                "version": self.pairing.version,
                "settings": to_table(self.pairing.settings),
            },
            size=list(self.size),
            engine=dict(engine.identity),
        )

    def _render_stage(self, infer: InferStage) -> RenderStage:
        return RenderStage(
            outputs=infer.key,
            filter={
                "name": self.filter_name,
                "version": FILTERS.load(self.filter_name).version,
                "settings": self.filter_table,
            },
            encoding=to_table(self.encoding),
            picture={k: str(v) for k, v in self.picture.__dict__.items()},
            encoder=f"av {version('av')}",
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
            "temporal": self.filter_name,
            "duration_s": round(float(Fraction(sum(index.durations()[self.first : self.stop])) * index.time_base), 3),
        }


def stylize_many(
    videos: Sequence[Path],
    model: str,
    output: Path | None,
    recipe: Recipe,
    context: Context,
    **span: Any,
) -> list[tuple[Path, Table | Exception]]:
    """Several clips, one after another; a failed one is named and passed over. ``output`` is then a folder."""
    from vidtrans.errors import VidtransError

    encoding = recipe.settings("encoding", EncodingSettings)
    find_look(model, context)  # a wrong model fails once, not once a clip
    folder = output or Path()
    if folder.exists() and not folder.is_dir():
        raise UsageError(str(folder), "with several clips -o is a folder, this is a file", "give a folder")
    results: list[tuple[Path, Table | Exception]] = []
    taken: set[str] = set()
    for video in videos:
        name = default_output(video, model, encoding).name
        if name in taken:
            stem, suffix = Path(name).stem, Path(name).suffix
            name = next(n for k in range(2, len(videos) + 2) if (n := f"{stem}-{k}{suffix}") not in taken)
        taken.add(name)
        try:
            results.append((video, stylize(video, model, folder / name, recipe, context, **span)))
        except Interrupted:
            raise
        except VidtransError as error:
            context.note(str(error), "warning")
            results.append((video, error))
    return results
