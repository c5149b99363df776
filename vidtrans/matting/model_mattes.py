"""The mattes that a user's own model paints: a segmenter whose pictures are grey, white on the thing."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from functools import cached_property

import cv2
import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.config.recipe import Recipe
from vidtrans.core.costs import without_result
from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.events import Progress
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Table, Time
from vidtrans.matting.found_mattes import FoundMatte, LoadedBlocks, MatteSource
from vidtrans.matting.swept_mattes import BLOCK, LOADED
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.render_settings import ResolvedRenderSettings, classes_of
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.rendering.cache_entries import infer_stage
from vidtrans.rendering.chain import FramePath
from vidtrans.rendering.plan import RenderPlan, plan_render
from vidtrans.rendering.render_job import RenderJob, estimate_render
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry, CachePin
from vidtrans.store.chunks import ChunkStore
from vidtrans.store.stages import MatteStage
from vidtrans.temporal.stream import filter_samples
from vidtrans.video.colour.conversion import to_uint8

VERSION = 1
SURE, POSSIBLE = 0.75, 0.25  # of a matte: what is surely in it, and what may be
COLOURED = 12  # levels of 255 between a pixel's channels, on average, from which a picture is no matte


def check_segmenter(model: LoadedModel) -> None:
    """Raise UsageError for a model that cannot paint a matte of each frame."""
    model.check_renders()
    pairing, why = model.parts[0].pairing, ""
    if model.is_identity:
        why = "it paints nothing"
    elif classes_of(model):
        why = "it paints classes in colours, and a matte is grey"
    elif pairing.uses_mask or pairing.guides or pairing.extraction or model.is_recurrent:
        why = "its input is more than the frame"
    if why:
        raise UsageError(f"model '{model.name}'", why, "give a network that paints the thing white on black")


def segmenter_key(model: LoadedModel, context: Context) -> list[object]:
    """Return the values that identify a model's mattes, for the digest of a result."""
    settings = _settings(model, RenderingSettings.picture_fps, context)
    return [model.for_key(), VERSION, settings.for_key(stills=False, masked=False)]


def _settings(model: LoadedModel, picture_fps: float, context: Context) -> ResolvedRenderSettings:
    """Return the render settings of a model's own pictures, of its own size and filtered along the motion."""
    tables: dict[str, Table] = {"rendering": {"picture_fps": picture_fps}, "encoding": {"codec": "ffv1"}}
    return ResolvedRenderSettings.of(Recipe("", tables | {"temporal": {"name": "window"}}), model, context.device)


class ModelMattes:
    """The mattes of a plan's frames, at the size at which the plan's model paints, steady along the motion.

    ``find`` computes what is missing; call ``close`` after use.
    """

    def __init__(self, plan: RenderPlan, context: Context) -> None:
        self.plan, self.context = plan, context
        self.source = MatteSource(plan.clip, (plan.first, plan.stop), plan.size, {})
        self._loaded = LoadedBlocks(LOADED)  # the thread of the encoder reads, too
        self._pins: list[CachePin] = []

    @classmethod
    def of(
        cls, clip: Clip, model: LoadedModel, span: tuple[int, int], picture_fps: float, context: Context
    ) -> ModelMattes:
        """Return a model's mattes of the frames [first, stop) of a clip. Raises UsageError."""
        first, stop = (Time(frame=number) for number in span)
        end, settings = stop if span[1] < clip.index.num_frames else None, _settings(model, picture_fps, context)
        return cls(plan_render(clip, model, settings, context, (first, end), of_region=True), context)

    def check(self) -> None:
        """Raise ModelError if the model's picture of a frame, painted now, is no matte."""
        plan, engine = self.plan, self._job.engine()
        middle = (plan.first + plan.stop) // 2
        with closing(FramePath(plan, engine).renderer()) as renderer:
            frames = read_clip_frames(plan.clip, [middle], plan.form(plan.size), self.context)
            prepared = [renderer.prepare(frame, (middle, middle + 1)) for frame in frames]
            [sample] = renderer.stream(prepared)
        picture = to_uint8(sample.output)
        if (picture.max(2).astype(np.int16) - picture.min(2)).mean() > COLOURED:
            why, name = "its pictures are coloured, and a matte is grey", plan.model.name
            raise ModelError(f"model '{name}'", why, "give a network that paints the thing white on black")

    def find(self, task: str) -> None:
        """Paint the mattes of all frames; ``task``: in words, for progress."""
        store, blocks = ChunkStore(self._entry, ".npz"), self._blocks
        with self._entry.locked(wait_for=f"another run that cuts something out of {self.plan.clip.name}"):
            done = [store.is_done(block.start) for block in blocks]
            if not all(done):
                first = blocks[done.index(False)].start
                with closing(self._mattes(first)) as mattes:
                    for block in blocks[done.index(False) :]:
                        rows = list(itertools.islice(self._counted(mattes, block, task), len(block)))
                        with store.writing(block.start) as path, path.open("wb") as file:
                            np.savez_compressed(file, allow_pickle=False, mattes=np.stack(rows))
            self._job.finish_raw(self._job.engine())
            self._entry.finish({"frames": self.plan.num_frames})
            self._pins.append(self._entry.pin())

    def at(self, frame: int) -> FoundMatte:
        """Return the matte of a frame, and the share of what may be in it that surely is."""
        first = self.plan.first + (frame - self.plan.first) // BLOCK * BLOCK
        arrays = self._loaded(first, lambda: ChunkStore(self._entry, ".npz").path(first))
        matte = arrays["mattes"][frame - first].astype(np.float32) / 255
        possible = int((matte > POSSIBLE).sum())
        return FoundMatte(matte, int((matte > SURE).sum()) / possible if possible else 1.0)

    def for_key(self) -> list[str]:
        """Return the key that identifies the mattes."""
        return [self._entry.key]

    def painted_key(self, keys: Sequence[int]) -> list[list[object]]:
        """Return the painted frames: there are none."""
        del keys
        return []

    def cost(self) -> Table:
        """Return the estimated cost of the mattes."""
        return without_result(estimate_render(self.plan, self._job.engine(), self.context))

    def close(self) -> None:
        """Release the cache entry, so that it may be deleted."""
        for pin in self._pins:
            pin.release()
        self._pins = []

    @property
    def _blocks(self) -> list[range]:
        frames = range(self.plan.first, self.plan.stop)
        return [frames[first : first + BLOCK] for first in range(0, len(frames), BLOCK)]

    @cached_property
    def _job(self) -> RenderJob:
        return RenderJob(self.plan, self.context)

    @cached_property
    def _entry(self) -> CacheEntry:
        network = digest_of([infer_stage(self.plan, self._job.engine()).key, self.plan.settings.filter_record()])
        stage = MatteStage(network=network, key_frame=-1, frames=[self.plan.first, self.plan.stop, 1], method=VERSION)
        return self.context.cache.entry(stage.name, stage.key)

    def _counted(
        self, mattes: Generator[np.ndarray, None, None], block: range, task: str
    ) -> Generator[np.ndarray, None, None]:
        for frame in block:
            matte, done = next(mattes), frame - self.plan.first + 1
            self.context.report(Progress(f"cutting out {task}", done, self.plan.num_frames))
            self.context.stop.check()
            yield matte

    def _mattes(self, first: int) -> Generator[np.ndarray, None, None]:
        """Yield the mattes from a frame on, (h, w) uint8, filtered along the motion."""
        plan, job, engine = self.plan, self._job, self._job.engine()
        method, wanted = plan.settings.make_filter(), range(first, plan.stop)
        shot = next(shot for shot in self.source.shots if first in shot)
        with ExitStack() as stack:
            for raw in job.raw_entries(engine):
                stack.enter_context(raw.locked(wait_for=f"another run that renders {plan.clip.name}"))
            lo = max(shot.start, first - method.radius)
            samples = job.chain(engine).outputs(stack, lo, plan.stop)
            for _, picture in filter_samples(samples, method, wanted, plan.held_frames):
                yield cv2.cvtColor(to_uint8(picture), cv2.COLOR_RGB2GRAY)
