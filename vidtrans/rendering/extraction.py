"""Pictures that a pairing needs from another network (an extractor), of a clip's frames or of single frames.

A clip's pictures are a cached stage: the ``infer`` stage of the extractor's own render of the same frames. Its lossless
chunks survive a killed process, and all models with this extractor share them. A ``Labeller`` is another network, which
labels the classes in pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from vidtrans.clips.indexing import open_clip
from vidtrans.clips.sampling import read_clip_frames, spread_numbers
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.settings import Size, Table
from vidtrans.inference.engine import Engine
from vidtrans.models.loaded_model import LoadedModel, file_digest, load_engine, load_extractor, load_model
from vidtrans.models.model_record import ModelRecord
from vidtrans.models.render_settings import output_classes
from vidtrans.pairing.base import Extraction, Pairing
from vidtrans.pairing.class_colours import ClassColours
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.rendering.cache_entries import infer_stage
from vidtrans.rendering.chain import RenderChain
from vidtrans.rendering.frame_renderer import FrameRenderer, ModelInputs
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.skipped_frames import RenderCount
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry
from vidtrans.store.chunking import Chunk, num_frames, read_ranges
from vidtrans.store.chunks import ChunkStore, RawOutputs
from vidtrans.store.stages import InferStage
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import Frame

# Number of frames of a clip from which a network's batch-norm statistics are computed, in one batch
CALIBRATION_FRAMES = 16


@dataclass
class ClipExtraction:
    """The pictures that an extractor (a network that makes a model's input) makes of the frames of a render.

    ``plan``: the extractor's own render of these frames. ``count``: the number of frames that this process has
    extracted.
    """

    plan: RenderPlan
    engine: Engine
    context: Context
    count: RenderCount = field(default_factory=RenderCount)

    @classmethod
    def of(cls, plan: RenderPlan, context: Context) -> ClipExtraction | None:
        """Load the network that makes the input of a plan's model (an extractor); None without one.

        Raises ModelError, DeviceError, UsageError.
        """
        own = plan.extraction
        return None if own is None else cls(own, load_engine(own.model, own.rendering, context), context)

    @property
    def stage(self) -> InferStage:
        """Return the cache stage of the extractor's pictures."""
        return infer_stage(self.plan, self.engine)

    @property
    def entry(self) -> CacheEntry:
        """Return the cache entry of the extractor's pictures."""
        return self.context.cache.entry(self.stage.name, self.stage.key)

    def make(self, chunks: Sequence[Chunk]) -> None:
        """Render the extractor's pictures of the missing chunks, in order. Call it while the cache entry is locked."""
        store = ChunkStore(self.entry, ".nut")
        missing = [chunk.number for chunk in chunks if not store.is_done(chunk.number)]
        done, total = 0, num_frames(self.plan.chunks[number] for number in missing)
        raw = RawOutputs(store, self.plan.chunks, self.plan.size)
        chain = RenderChain(self.plan, self.engine, raw, self.context)
        for _, first, stop in read_ranges(self.plan.chunks, missing, 0):
            with ExitStack() as stack:
                for _ in chain.outputs(stack, first, stop):
                    done += 1
                    name = f"{self.plan.model.name} on {self.plan.clip.name}"
                    self.context.report(Progress(name, done, total))
                    self.context.stop.check()
        self.count.inferred += chain.count.inferred
        if all(store.is_done(chunk.number) for chunk in self.plan.chunks):
            self.entry.finish({"frames": self.plan.num_frames})

    def pictures(self) -> RawOutputs:
        """Return a reader of the stored extractor's pictures, (H, W, 3) uint8 at the extractor's size."""
        return RawOutputs(ChunkStore(self.entry, ".nut"), self.plan.chunks, self.plan.size)


class FrameExtractor:
    """An extractor (a network that makes a model's input) of single frames of a dataset or a live camera."""

    def __init__(
        self, model: LoadedModel, extraction: Extraction, rendering: RenderingSettings, context: Context
    ) -> None:
        self.model, self._rendering, self._context = model, rendering.for_extractor(extraction.size), context

    @cached_property
    def engine(self) -> Engine:
        """Load the engine of the extractor network. Raises ModelError, DeviceError, UsageError."""
        return load_engine(self.model, self._rendering, self._context)

    @classmethod
    def of(cls, model: LoadedModel, rendering: RenderingSettings, context: Context) -> FrameExtractor | None:
        """Return the network that makes a model's input (an extractor); None if its pairing needs none.

        Raises ModelError, DeviceError, UsageError.
        """
        extraction = model.pairing.extraction
        if model.extractor is None or extraction is None:
            return None
        return cls(model.extractor, extraction, rendering, context)

    @classmethod
    def of_pairing(cls, pairing: Pairing, context: Context) -> FrameExtractor | None:
        """Load the network that a pairing names as its extractor; None if it names none.

        Raises ModelError, UsageError.
        """
        wanted = pairing.extraction
        return None if wanted is None else cls(load_extractor(wanted, context), wanted, RenderingSettings(), context)

    def for_record(self) -> Table:
        """Return the extractor's name and digest, for the pairing's settings in a model file."""
        assert self.model.path is not None  # ``load_extractor`` refuses the identity model
        return {"model": self.model.name, "digest": file_digest(self.model.path, self._context.cache.digest)}

    def for_key(self) -> Table:
        """Return the engine and model properties that affect the extracted pictures, for cache keys."""
        return self.engine.identity | self.model.padding_key

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) at which the extractor processes frames of ``width`` × ``height`` pixels."""
        wide, high = self.model.working_size(self._rendering.size, (width, height))
        return wide, high

    def pictures(self, frames: Iterable[Frame]) -> Iterator[np.ndarray]:
        """Yield the extractor's picture of each frame, (H, W, 3) uint8, at the frame's size."""
        renderer = FrameRenderer(ModelInputs(self.model.pairing), self.engine)
        prepared = (renderer.prepare(frame, (frame.index, frame.index + 1)) for frame in frames)
        return (sample.output for sample in renderer.stream(prepared))

    def resized(self, frame: Frame, width: int, height: int) -> Frame:
        """Return a frame resized to (width, height), with the extractor's picture at this size as its guide."""
        own = self.size(frame.rgb.shape[1], frame.rgb.shape[0])
        (picture,) = self.pictures([frame.resized(*own)])
        return replace(frame.resized(width, height), guides=(resize(picture, width, height),))


def resized(frame: Frame, size: tuple[int, int], extractor: FrameExtractor | None) -> Frame:
    """Return a frame resized to ``size``, (width, height); the picture of the ``extractor``, if any, is its guide."""
    return frame.resized(*size) if extractor is None else extractor.resized(frame, *size)


def calibration_inputs(
    path: Path, record: ModelRecord, extractor: FrameExtractor | None, context: Context
) -> np.ndarray:
    """Compute a network's inputs for some frames of a clip, (N, H, W, C) uint8, at the model's training size.

    Raises UsageError, MediaError.
    """
    clip = open_clip(context, path)
    pairing = make_pairing(record.pairing["name"], record.pairing["settings"])
    if pairing.offsets != (0,) or pairing.guides:
        raise UsageError("--calibrate", f"the pairing '{pairing.name}' needs more than single frames", "leave it out")
    numbers = spread_numbers(clip.index.num_frames, CALIBRATION_FRAMES)
    size = Size(short=record.size).of(clip.index.width, clip.index.height)
    frames = (resized(f, size, extractor) for f in read_clip_frames(clip, numbers, FrameFormat(), context))
    return np.stack([pairing.input([to_uint8(picture) for picture in (f.rgb, *f.guides)]) for f in frames])


@dataclass(frozen=True)
class Labeller:
    """A segmentation model that finds the class of each pixel in a picture."""

    model: LoadedModel
    context: Context

    @classmethod
    def found(cls, name: str, context: Context) -> Self:
        """Load the labeller ``name``. Raises UsageError if it labels no classes, ModelError if it does not exist."""
        return cls(load_model(name, context), context)

    def __post_init__(self) -> None:
        what = f"--labeller {self.model.name}"
        if output_classes(self.model) is None:
            remedy = "train one: make-dataset --pairing segment"
            raise UsageError(what, "it paints pictures, and a labeller finds classes", remedy)
        if len(self.model.parts) > 1 or self.model.pairing.pictures_per_frame > 1 or self.model.pairing.offsets != (0,):
            raise UsageError(what, "it needs more than one picture", "give a model of pairing 'segment'")

    @property
    def classes(self) -> ClassColours:
        """Return the classes and their colours in label maps."""
        found = output_classes(self.model)
        assert found is not None
        return found

    def reader(self) -> Callable[[np.ndarray], np.ndarray]:
        """Load the network; return a function from a picture to its coloured label map, both (H, W, 3) uint8."""
        model, rendering, inputs = self.model, RenderingSettings(), ModelInputs(self.model.pairing)
        renderer = FrameRenderer(inputs, load_engine(model, rendering, self.context))

        def read(picture: np.ndarray) -> np.ndarray:
            """Return the coloured label map of a picture, at the picture's size."""
            size = model.working_size(rendering.size, picture.shape[1::-1])
            found = renderer.picture(inputs([Frame(0, 0, resize(picture, *size))]))
            return self.classes.resized(found, picture.shape[1], picture.shape[0])

        return read
