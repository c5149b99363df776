"""The part of a render that needs the engine: what is missing of every chunk, and joining them all."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from typing import Literal

import numpy as np

from vidtrans.clips.aligned_clip import Guide
from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.indexing import Clip
from vidtrans.clips.mask import Mask, takes_drawing
from vidtrans.errors import UsageError
from vidtrans.events import Progress
from vidtrans.files import complete, link_target
from vidtrans.inference.engine import Engine
from vidtrans.models.loaded_model import Look, RenderSettings, load_engine
from vidtrans.output.delivery import Delivery
from vidtrans.output.target import record, up_to_date
from vidtrans.pairing.base import pairing_record
from vidtrans.rendering.composite import Composer
from vidtrans.rendering.cost import estimate_render
from vidtrans.rendering.directing import VERSION as DIRECTING_VERSION
from vidtrans.rendering.directing import Directions
from vidtrans.rendering.flow_propagation import CARRIED_VERSION, Carrier, Draft
from vidtrans.rendering.frame_renderer import Inputs
from vidtrans.rendering.places import Places
from vidtrans.rendering.recurrence import Memory
from vidtrans.rendering.runner import Filling
from vidtrans.rendering.scene import Scene
from vidtrans.session import Context
from vidtrans.settings import Size, Table, Time
from vidtrans.store.cache import Entry
from vidtrans.store.chunking import cut_into_chunks
from vidtrans.store.chunks import StateStore
from vidtrans.store.stages import InferStage, RenderStage, media_libraries
from vidtrans.video.colour.conversion import eight_bit, laid
from vidtrans.video.form import PAPER, Form
from vidtrans.video.io.clip import Frame
from vidtrans.video.io.codecs import PICTURES
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.sequence import encoder_of

LONGEST_KEPT = 16384  # pixels: what x264 takes
LONGEST_SAMPLED = 32766  # what OpenCV's remap does


class ChunkFile:
    """A chunk's segment, in which a frame is written as often as it is shown."""

    def __init__(self, writer: SegmentWriter) -> None:
        self._writer = writer

    def write(self, picture: np.ndarray, stamps: Sequence[int]) -> None:
        for stamp in stamps:
            self._writer.write(picture, stamp)

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> None:
        self._writer.abandon()


class RenderJob:
    """One clip, one look, one set of settings. The pictures of a clip are of one size."""

    def __init__(
        self,
        clip: Clip,
        look: Look,
        settings: RenderSettings,
        context: Context,
        start: Time | None,
        end: Time | None,
        mask: Path | None = None,
        pattern: str = "",
        guide: Guide | None = None,
    ) -> None:
        clip = at_rate(clip, settings.rendering.rate)
        if guide is None:
            clip = with_cuts(clip, settings.rendering.cuts)
        self.clip, self.look, self.context, self.guide = clip, look, context, guide
        self.settings, self.rendering = settings, settings.rendering
        self.first, self.stop = clip.trim(start, end)
        self.pairing = look.pairing
        self.size = look.working_size(self.rendering.size, (clip.index.width, clip.index.height))
        self._check_sides()
        self.chunks = cut_into_chunks(self.first, self.stop, clip.shots, self.rendering.chunk_frames)
        self.drawn = takes_drawing(clip, self.pairing, self.rendering.drawn, context)
        if not self.drawn and (scene := Scene.of(look)):  # lines on paper show none: who draws knows what for
            scene.check_clip(clip, self.first, self.stop, context)
        self.mask = Mask.open(mask, clip, self.first, self.stop, context) if mask else None
        self.directions = Directions(self.rendering.curves(), clip.index.pts, clip.pts_of)
        self.delivery = Delivery(
            clip,
            range(self.first, self.stop),
            settings.encoding,
            trimmed=start is not None or end is not None,
            factor=self.pairing.enlarges,
            drawn=self.drawn,
            pattern=pattern,
        )
        self.picture, self.depth = self.delivery.picture, self.delivery.depth
        self.draft = Draft(self.rendering.draft) if self.rendering.draft > 1 else None
        self.carrier = Carrier() if self.draft else None
        if self.draft and look.remembers:
            why = f"'{look.name}' paints each frame from the one before"
            raise UsageError(f"--draft {self.rendering.draft}", why, "render all frames: leave it out")
        self.delivery.tell(context)

    def _check_sides(self) -> None:
        """Raises UsageError where pictures are longer than a network's can be kept, or than OpenCV can sample."""
        side, shown = max(self.size), f"{self.size[0]}x{self.size[1]}"
        if self.look.record is not None and side > LONGEST_KEPT:
            raise UsageError(shown, f"a look is rendered up to {LONGEST_KEPT} pixels a side", "choose a smaller --size")
        if self.settings.filter_name != "off" and side > LONGEST_SAMPLED:
            why = f"flicker is filtered up to {LONGEST_SAMPLED} pixels a side"
            raise UsageError(shown, why, "choose --temporal off, or give smaller pictures")

    @property
    def composes(self) -> bool:
        """Whether the result is made of more than the look: then the source is read once more, at full size."""
        composed = self.mask is not None or not self.directions.always_plain or self.pairing.finishes
        return composed or self.picture.alpha

    @property
    def seen_mask(self) -> Mask | None:
        """The mask, where the pairing shows it to the network."""
        return self.mask if self.pairing.uses_mask else None

    @property
    def single(self) -> bool:
        return self.stop - self.first == 1

    def render(self, output: Path, request: str) -> Table:
        """Make what is missing of every chunk, join the segments and the sound, record and name the result."""
        engine = self.engine()
        places = self.places(engine)
        cache = self.context.cache
        with ExitStack() as stack:
            stack.enter_context(places.segments.locked())
            store, shown, missing = places.store, places.shown, places.missing()
            if missing and places.kept is not None:
                self._hold(places.raw, stack)
            states, filling = StateStore(places.segments), Filling(self, engine, places.raw_outputs())
            if missing:
                filling.fill(store, states, missing)
                if places.kept is not None and all(places.kept.is_done(c.number) for c in shown):
                    places.raw.finish({"frames": self.stop - self.first})
            counts = filling.counts(missing)
            counts |= {"engine": " ".join(engine.identity[k] for k in ("engine", "precision") if k in engine.identity)}
            if filling.count.inferred and (tile := getattr(engine, "tile", None)):
                counts["tile"] = tile
                self.context.note(f"memory did not do for whole frames: they were painted in tiles of {tile} pixels")
            if self.carrier and (psnr := self.carrier.psnr) is not None:
                counts["draft_psnr"] = round(psnr, 2)
            # Another run may have put something there meanwhile.
            folder = makes_folder(self.settings.encoding, output)
            up_to_date(cache, output, request, [self.clip.path], self.context.overwrite, folder=folder)
            self.context.report(Progress("joining", 0, None))
            with complete(link_target(output)) as temporary:
                held = [store.path(c.number) for c in shown]
                written = self.delivery.assembly(folder).write(held, temporary, store.entry.folder, self.context)
                result = self.summary(output) | counts | written
                record(cache, output, temporary, request, result)
            store.entry.finish({"frames": self.stop - self.first})
            states.clear()
        return result

    @property
    def steps(self) -> list[int] | None:
        """Which of the clip's frames each one of the result shows; None where a graph of the user's decides."""
        if self.settings.encoding.filter:
            return None
        return [n for n in range(self.first, self.stop) for _ in self.delivery.stamps(n)]

    def per_frame(self, ground: tuple[int, int, int]) -> Generator[np.ndarray, None, None]:
        """The pictures that ``steps`` tells of, as they would be without a temporal filter: (H, W, 3) uint8.

        What is transparent lies on the ``ground``. The model's outputs stay locked until this is closed.
        """
        engine = self.engine()
        places = self.places(engine)
        with ExitStack() as stack:
            if places.kept is not None:
                self._hold(places.raw, stack)
            raw = places.raw_outputs()
            samples = stack.enter_context(closing(Filling(self, engine, raw).samples(self.first, self.stop)))
            compose = stack.enter_context(closing(self.composer(self.first, self.stop)))
            for sample in samples:
                made = eight_bit(compose(sample, sample.output))
                shown = made if made.shape[2] == 3 else laid(made[..., :3], made[..., 3], ground)
                yield from repeat(shown, len(self.delivery.stamps(sample.index)))

    def _hold(self, outputs: Entry, stack: ExitStack) -> None:
        """Lock the model's outputs. A run that makes the same ones, for another strength or filter, is waited for."""
        stack.enter_context(outputs.locked(wait_for=f"another run that paints {self.clip.name}"))

    def estimate(self, engine: Engine | None = None) -> Table:
        """Time, disk and memory that the render will take, from a trial on its first frames."""
        engine = engine or self.engine()
        encoding = self.settings.encoding
        encode = encoder_of(encoding.codec) if encoding.makes_pictures else None
        return estimate_render(self, engine, self.settings.make_filter(), encode)

    def engine(self) -> Engine:
        """Raises ModelError, DeviceError, UsageError."""
        return load_engine(self.look, self.rendering, self.context)

    def places(self, engine: Engine) -> Places:
        """Where the cache holds what this job makes."""
        infer = self._infer_stage(engine)
        segments = self._render_stage(infer)
        cache = self.context.cache
        return Places(self, cache.entry(infer.name, infer.key), cache.entry(segments.name, segments.key))

    def composer(self, first: int, stop: int) -> Composer:
        """What puts the frames [first, stop) together."""
        return Composer(self, first, stop)

    def segment(self, path: Path) -> ChunkFile:
        return ChunkFile(SegmentWriter(path, self.delivery.kept, self.settings.encoding))

    def form(self, size: tuple[int, int]) -> Form:
        """In what form the source is read, at a size, (width, height)."""
        paper = PAPER if self.drawn else None
        kind: Literal["kept", "laid"] = "kept" if self.picture.alpha else "laid"
        return Form(Size(exact=size), deep=self.depth > 8, alpha=kind, background=paper)

    def frames(self, size: tuple[int, int], start: int, stop: int) -> Generator[Frame, None, None]:
        """The source's frames at a size, (width, height)."""
        with self.clip.reader(self.form(size), self.context.decode_threads) as reader:
            yield from reader.frames(start, stop, self.clip.index)

    def inputs(self) -> Inputs:
        """What the network sees; it follows the frames in order."""
        matte = self.seen_mask.mattes(self.size, self.context.decode_threads) if self.seen_mask else None
        return Inputs(self.pairing, drawn=self.drawn, matte=matte)

    def memory(self) -> Memory | None:
        """What the model remembers, of frames in order."""
        record = self.look.record
        return Memory(record.memory["flow"]) if record and record.memory else None

    def _infer_stage(self, engine: Engine) -> InferStage:
        return InferStage(
            source=self.clip.digest,
            first=self.first,
            stop=self.stop,
            shots=[s for s in self.clip.shots if self.first <= s < self.stop],
            chunk_frames=self.rendering.chunk_frames,
            model=self.look.digest,
            pairing=pairing_record(self.pairing),
            drawn=self.drawn,
            mask=self.seen_mask.for_key() if self.seen_mask else {},
            size=list(self.size),
            depth=self.depth,
            transparency=self.form(self.size).transparency,
            engine=dict(engine.identity) | self._spared_for_key(),
            libraries=media_libraries(),
            memory=self.look.memory_for_key(),
        )

    def _spared_for_key(self) -> dict[str, str]:
        """What decides which frames are not painted."""
        reuses = self.rendering.reuse and not self.look.remembers
        reuse = {"reuse": str(self.rendering.reuse)} if reuses else {}
        return reuse | ({"draft": str(self.rendering.draft), "carried": CARRIED_VERSION} if self.draft else {})

    def _render_stage(self, infer: InferStage) -> RenderStage:
        return RenderStage(
            outputs=infer.key,
            filter=self.settings.filter_record(),
            guide=self.guide.for_key() if self.guide else {},
            directing=self._directing() if self.composes else {},
            encoding=self.settings.encoding.chunk_key(self.delivery.kept),
            picture={k: str(v) for k, v in self.delivery.kept.__dict__.items()},
            libraries=media_libraries(),
        )

    def _directing(self) -> Table:
        return {
            "version": DIRECTING_VERSION,
            "curves": {name: str(curve) for name, curve in self.rendering.curves().items()},
            "mask": self.mask.for_key() if self.mask else {},
            "feather": self.rendering.feather if self.mask else 0.0,
        }

    def summary(self, output: Path) -> Table:
        index = self.clip.index
        return {
            "output": str(output),
            "frames": self.delivery.times.num_written,
            "size": [self.picture.width, self.picture.height],
            "working_size": list(self.size),
            "shots": len({c.shot_first for c in self.chunks}),
            "chunks": len(self.chunks),
            "model": self.look.name,
            "temporal": self.settings.filter_name,
            "duration_s": round(float(Fraction(sum(index.durations()[self.first : self.stop])) * index.time_base), 3),
            "codec": self.settings.encoding.codec,
            "depth": self.picture.depth,
            "alpha": self.picture.alpha,
        }


def at_rate(clip: Clip, rate: float) -> Clip:
    """Pictures have no times of their own: they are shown so many a second."""
    if not clip.is_pictures:
        return clip
    exact = Fraction(rate).limit_denominator(1001)
    return replace(clip, index=replace(clip.index, time_base=1 / exact, rate=exact))


def makes_folder(encoding: EncodingSettings, output: Path) -> bool:
    """Whether a result is a folder of pictures."""
    return encoding.makes_pictures and output.suffix.lower().lstrip(".") not in PICTURES
