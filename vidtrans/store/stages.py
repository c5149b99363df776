"""The stages of the processing chain, and the content of each stage's cache key.

A key is the SHA-256 of canonical JSON: the stage, its version, its parameters, the keys or content digests of its
inputs, and the versions of the libraries that affect its result. Batch size, number of workers, output path and device
number are not part of it, because they do not change the result. Raise a stage's version by hand when its results
change; a test holds golden keys.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cache
from typing import ClassVar

from vidtrans.core.files import digest_of
from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import Table

STAGES = Registry(
    "stage",
    {
        "index": Entry("vidtrans.store.stages:IndexStage", "timestamps and shots of a clip"),
        "mask-levels": Entry("vidtrans.store.stages:MaskLevelsStage", "levels of a mask, which say what is inside"),
        "exposure": Entry("vidtrans.store.stages:ExposureStage", "exposure flicker of a clip"),
        "filter": Entry("vidtrans.store.stages:FilterStage", "sources through a filter graph of the user's ffmpeg"),
        "dataset": Entry("vidtrans.store.stages:DatasetStage", "pictures of a dataset being built"),
        "carry": Entry("vidtrans.store.stages:CarryStage", "motion from a painted key frame to other frames"),
        "matte-network": Entry("vidtrans.store.stages:MatteNetworkStage", "networks that follow one thing of a clip"),
        "matte": Entry("vidtrans.store.stages:MatteStage", "mattes of one thing, from a painted frame on"),
        "match": Entry("vidtrans.store.stages:MatchStage", "frames of two clips with the same content"),
        "train": Entry("vidtrans.store.stages:TrainStage", "checkpoints and the model of a training run"),
        "at-once": Entry("vidtrans.store.stages:AtOnceStage", "models with the predicted looks of pictures"),
        "infer": Entry("vidtrans.store.stages:InferStage", "a model's raw outputs, lossless"),
        "faults": Entry("vidtrans.store.stages:FaultsStage", "faults of a model's pictures of a shot, to mend them"),
        "render": Entry("vidtrans.store.stages:RenderStage", "filtered and encoded segments"),
        "parts": Entry("vidtrans.store.stages:PartsStage", "settings shared by hosts that render parts of a result"),
        "dream": Entry("vidtrans.store.stages:DreamStage", "encoded segments of a dream, and states to resume from"),
    },
)


def libraries(*names: str) -> Table:
    """Return the installed versions of libraries that affect a stage's result, without importing them."""
    return {name: _version(name) for name in names}


@cache  # to parse a package's record each time would be a tenth of the time of a tiny clip
def _version(name: str) -> str:
    from importlib.metadata import version  # slow to import, and commands list stages

    return version(name)


def media_libraries() -> Table:
    """Return the versions of the libraries that read, process and write frames."""
    return libraries("av", "opencv-python-headless")


@dataclass(frozen=True)
class Stage:
    """A stage. Its fields are the content of its cache key; those of ``optional`` are left out where they are empty."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    optional: ClassVar[tuple[str, ...]] = ()

    @property
    def key(self) -> str:
        """Return the key of the stage's cache entry."""
        return digest_of({"stage": self.name, "version": self.version, **self.parameters()})

    @classmethod
    def id(cls) -> str:
        """Return the stage's name and version, for the record beside an output."""
        return f"{cls.name} {cls.version}"

    def parameters(self) -> Table:
        """Return the values in the stage's cache key, besides the stage's name and version."""
        return {name: value for name, value in asdict(self).items() if value or name not in self.optional}


@dataclass(frozen=True)
class IndexStage(Stage):
    """Timestamps and shots of a clip."""

    name: ClassVar[str] = "index"
    version: ClassVar[int] = 4
    optional: ClassVar[tuple[str, ...]] = ("pictures", "until")
    source: str  # content digest
    guides: list[str]
    survey_version: int
    libraries: Table
    pictures: int = 0  # version of the reader of pictures
    until: str = ""  # the time that the index goes to, and a little further; '': to the end


@dataclass(frozen=True)
class MaskLevelsStage(Stage):
    """The levels of a mask's frames, which say what is inside."""

    name: ClassVar[str] = "mask-levels"
    mask: str  # digest of its clip
    used: list[int]  # first, stop
    libraries: Table


@dataclass(frozen=True)
class ExposureStage(Stage):
    """Corrections of the exposure of a clip's frames."""

    name: ClassVar[str] = "exposure"
    source: str  # content digest
    shots: list[int]
    method: int  # version
    libraries: Table


@dataclass(frozen=True)
class FilterStage(Stage):
    """A source filtered by a filter graph of the user's ffmpeg."""

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
    """The motion from one key frame of a shot to the frames on one side of it."""

    name: ClassVar[str] = "carry"
    source: str
    size: list[int]  # width, height
    shot: list[int]  # first, stop
    key_frame: int
    onward: bool
    method: int  # version
    libraries: Table


@dataclass(frozen=True)
class MatteNetworkStage(Stage):
    """A network that learned one thing from its painted frames."""

    name: ClassVar[str] = "matte-network"
    source: str  # content digest
    size: list[int]  # width, height of the frames that it sees
    painted: list[list[object]]  # number of a frame, digest of what is painted on it
    settings: Table
    seed: int
    engine: Table  # precision, threads
    method: int  # version
    weights: str  # identity of the features
    libraries: Table


@dataclass(frozen=True)
class MatteStage(Stage):
    """The mattes of one thing in the frames on one side of a painted frame."""

    name: ClassVar[str] = "matte"
    network: str  # key of its stage
    key_frame: int
    frames: list[int]  # first, stop, step
    method: int  # version


@dataclass(frozen=True)
class MatchStage(Stage):
    """For each frame of a target clip: the frame of another clip with the same content, and the overlap."""

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
    version: ClassVar[int] = 10
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
        """Return the parameters and the version, by which other runs decide whether they can use the checkpoints."""
        return {"version": self.version, **self.parameters()}

    @property
    def run_key(self) -> str:
        """Return a digest shared by runs that can continue one another: without ``steps``, ``fresh``, ``card``."""
        return digest_of({k: v for k, v in self.description().items() if k not in ("steps", "fresh", "card")})


@dataclass(frozen=True)
class InferStage(Stage):
    """A model's raw outputs."""

    name: ClassVar[str] = "infer"
    version: ClassVar[int] = 5
    optional: ClassVar[tuple[str, ...]] = ("memory", "extraction", "held", "lead")
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
    held: str = ""  # digest of the frames that repeat the frame before
    lead: int = 0  # frames before those of the result, which only serve them


@dataclass(frozen=True)
class AtOnceStage(Stage):
    """A model with the predicted looks of pictures."""

    name: ClassVar[str] = "at-once"
    looks: list[str]  # names
    mixtures: list[list[tuple[str, float]]]  # of each look: digests of pictures, and shares
    weights: str  # digest of the file that ships
    method: int  # version


@dataclass(frozen=True)
class FaultsStage(Stage):
    """Faults of a model's pictures of one shot, found in a few of its frames."""

    name: ClassVar[str] = "faults"
    outputs: Table  # parameters of the infer stage that are the same for any part of the clip
    frames: list[int]
    method: int  # version


@dataclass(frozen=True)
class RenderStage(Stage):
    """Filtered and encoded segments of a render."""

    name: ClassVar[str] = "render"
    version: ClassVar[int] = 4
    optional: ClassVar[tuple[str, ...]] = ("strokes",)
    outputs: str  # key of the infer stage
    filter: Table
    guide: Table  # source and steps of what guides the filter, where that is another clip
    directing: Table  # curves, mask and feather
    encoding: Table
    picture: Table  # size, pixel aspect, time base, rate, depth, alpha
    libraries: Table
    strokes: Table = field(default_factory=dict)  # medium, settings, curves and pictures of a painted film


@dataclass(frozen=True)
class PartsStage(Stage):
    """The stage of a result that several hosts render in parts: the settings that have to be equal on every host."""

    name: ClassVar[str] = "parts"
    output: str  # relative to the folder that the cache lies in


@dataclass(frozen=True)
class DreamStage(Stage):
    """Encoded segments of a dream. Only a loop's key has the number of frames: other dreams can be extended."""

    name: ClassVar[str] = "dream"
    version: ClassVar[int] = 2
    optional: ClassVar[tuple[str, ...]] = ("upscale",)
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
    upscale: Table = field(default_factory=dict)  # mode and version, where pictures are enlarged before the encoder
