"""The stages of the chain and what each one's cache key is made of.

A key is the SHA-256 of canonical JSON: the stage, its version, the parameters that it reads, and the keys
or content digests of what it reads from. Batch size, number of workers, output path and the number of
a device are not in it: they change no result. Raise a stage's version by hand when its results change; a test
holds golden keys.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from typing import ClassVar

from vidtrans.core.files import digest_of
from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import Table

STAGES = Registry(
    "stage",
    {
        "index": Entry("vidtrans.store.stages:IndexStage", "timestamps and shots of a clip"),
        "filter": Entry("vidtrans.store.stages:FilterStage", "sources through a filter graph of the user's ffmpeg"),
        "dataset": Entry("vidtrans.store.stages:DatasetStage", "pictures of a dataset being built"),
        "carry": Entry("vidtrans.store.stages:CarryStage", "where a clip's frames are in a painted key frame"),
        "match": Entry("vidtrans.store.stages:MatchStage", "which frames of two clips show the same"),
        "train": Entry("vidtrans.store.stages:TrainStage", "checkpoints and the model of a training run"),
        "infer": Entry("vidtrans.store.stages:InferStage", "a model's raw outputs, lossless"),
        "render": Entry("vidtrans.store.stages:RenderStage", "filtered and encoded segments"),
        "parts": Entry("vidtrans.store.stages:PartsStage", "what all who render parts of a result have in common"),
        "dream": Entry("vidtrans.store.stages:DreamStage", "encoded segments of a dream, and where to go on"),
    },
)


def libraries(*names: str) -> Table:
    """Return the versions of the libraries that decide a stage's result, found without importing them."""
    return {name: _version(name) for name in names}


_version = cache(version)  # to parse a package's record each time would be a tenth of the time of a tiny clip


def media_libraries() -> Table:
    """Return the versions that decide how frames are read, processed and written."""
    return libraries("av", "opencv-python-headless")


@dataclass(frozen=True)
class Stage:
    """A stage with its parameters; the fields of a subclass are what its key is made of.

    ``optional``: fields that are left out where they are empty: a key without one is that of before there was any.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    optional: ClassVar[tuple[str, ...]] = ()

    @property
    def key(self) -> str:
        """Return the key of its cache entry."""
        return digest_of({"stage": self.name, "version": self.version, **self.parameters()})

    @classmethod
    def id(cls) -> str:
        """Return name and version, for the record of what made an output."""
        return f"{cls.name} {cls.version}"

    def parameters(self) -> Table:
        """Return what the key is made of, besides name and version."""
        return {name: value for name, value in asdict(self).items() if value or name not in self.optional}


@dataclass(frozen=True)
class IndexStage(Stage):
    """Timestamps and shots of a clip."""

    name: ClassVar[str] = "index"
    version: ClassVar[int] = 2
    source: str  # content digest
    guides: list[str]
    survey_version: int
    libraries: Table


@dataclass(frozen=True)
class FilterStage(Stage):
    """A source through a filter graph of the user's ffmpeg."""

    name: ClassVar[str] = "filter"
    source: str
    graph: str
    program: str  # its version
    libraries: Table


@dataclass(frozen=True)
class DatasetStage(Stage):
    """Pictures of a dataset that is being written."""

    name: ClassVar[str] = "dataset"
    version: ClassVar[int] = 2
    optional: ClassVar[tuple[str, ...]] = ("extractor",)
    sources: list[Table]  # name, content digest, first, stop, target digest
    pairing: Table
    settings: Table
    survey_version: int
    libraries: Table
    extractor: Table = field(default_factory=dict)  # the engine that runs it, where pictures are extracted


@dataclass(frozen=True)
class CarryStage(Stage):
    """Where the frames of a shot are in one key frame of it, on one side of it."""

    name: ClassVar[str] = "carry"
    source: str
    size: list[int]  # width, height
    shot: list[int]  # first, stop
    key_frame: int
    onward: bool
    method: int  # version
    libraries: Table


@dataclass(frozen=True)
class MatchStage(Stage):
    """For each frame of a target the one of another clip that shows the same, and how much of it."""

    name: ClassVar[str] = "match"
    given: str  # content digest
    target: str
    given_span: list[int]  # first, stop
    target_span: list[int]  # first, stop, step
    size: list[int]  # width, height
    method: int  # version
    libraries: Table


@dataclass(frozen=True)
class TrainStage(Stage):
    """Checkpoints and the model of a training run."""

    name: ClassVar[str] = "train"
    version: ClassVar[int] = 7
    dataset: str  # content digest of the dataset
    pairing: Table
    generator: Table
    discriminator: Table
    settings: Table
    seed: int
    start: str  # content digest of --from, or ''
    engine: Table  # device class, precision, threads, world size
    libraries: Table
    steps: int
    fresh: bool
    card: Table

    def description(self) -> Table:
        """Return what another run compares: checkpoints of another version have other content."""
        return {"version": self.version, **self.parameters()}

    @property
    def run_key(self) -> str:
        """Return a digest that is equal for runs that can continue one another, whatever their steps and card."""
        return digest_of({k: v for k, v in self.description().items() if k not in ("steps", "fresh", "card")})


@dataclass(frozen=True)
class InferStage(Stage):
    """A model's raw outputs."""

    name: ClassVar[str] = "infer"
    version: ClassVar[int] = 3
    optional: ClassVar[tuple[str, ...]] = ("memory", "extraction")
    source: str
    first: int
    stop: int
    shots: list[int]
    chunk_frames: int
    model: str  # content digest, or 'identity'
    pairing: Table
    drawn: bool
    mask: Table  # content digest and steps, where the pairing looks at the mask
    size: list[int]  # width, height
    depth: int  # bits a channel, 8 or 16
    transparency: str
    engine: Table
    libraries: Table
    memory: Table = field(default_factory=dict)  # by what the past comes to a frame, where the model remembers
    extraction: str = ""  # key of the stage in which another network made the input


@dataclass(frozen=True)
class RenderStage(Stage):
    """Filtered and encoded segments of a render."""

    name: ClassVar[str] = "render"
    version: ClassVar[int] = 3
    outputs: str  # key of the infer stage
    filter: Table
    guide: Table  # source and steps of what guides the filter, where that is another clip
    directing: Table  # curves, mask and feather
    encoding: Table
    picture: Table  # size, pixel aspect, time base, rate, depth, alpha
    libraries: Table


@dataclass(frozen=True)
class PartsStage(Stage):
    """The terms on which hosts render parts of one result."""

    name: ClassVar[str] = "parts"
    output: str  # relative to the folder that the cache lies in


@dataclass(frozen=True)
class DreamStage(Stage):
    """The number of frames is not in it, so that a longer dream goes on from a shorter one; of a loop it is."""

    name: ClassVar[str] = "dream"
    seed: Table  # content digest and frames, or the noise
    models: list[Table]  # content digest and pairing of each
    sequence: Table  # how several models follow one another
    size: list[int]  # width, height
    rate: str
    controls: Table
    loop: Table
    blend: Table  # content digest of the driving video
    sound: Table  # content digest, where an expression hears it
    chunk_frames: int
    encoding: Table
    picture: Table
    engine: Table
    libraries: Table
