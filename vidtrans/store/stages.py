"""The cached stages, and the content of each stage's cache key.

A key is the SHA-256 of canonical JSON: the stage, its version, its parameters, the keys or content digests of its
inputs, and the versions of the libraries that affect its result. Batch size, number of workers, output path and device
number are not part of it, because they do not change the result. Increase a stage's version by hand when its results
change; a test contains golden keys.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cache
from typing import ClassVar

from vidtrans.core.files import digest_of
from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import Table

# Cached stages by name, each with its class and a description
STAGES = Registry(
    "stage",
    {
        "index": Entry("vidtrans.store.stages:IndexStage", "timestamps and shots of a clip"),
        "mask-levels": Entry(
            "vidtrans.store.stages:MaskLevelsStage", "grey levels of a mask that separate inside and outside"
        ),
        "found-mask": Entry("vidtrans.store.stages:FoundMaskStage", "masks found in pictures: people, faces, a screen"),
        "exposure": Entry("vidtrans.store.stages:ExposureStage", "exposure flicker of a clip"),
        "filter": Entry("vidtrans.store.stages:FilterStage", "sources through a filter graph of the user's ffmpeg"),
        "dataset": Entry("vidtrans.store.stages:DatasetStage", "pictures of a dataset being built"),
        "carry": Entry("vidtrans.store.stages:CarryStage", "motion from a painted key frame to other frames"),
        "matte-network": Entry("vidtrans.store.stages:MatteNetworkStage", "networks that follow one object of a clip"),
        "matte": Entry("vidtrans.store.stages:MatteStage", "mattes of one object, from a painted frame on"),
        "match": Entry("vidtrans.store.stages:MatchStage", "frames of two clips with the same content"),
        "train": Entry("vidtrans.store.stages:TrainStage", "checkpoints and the model of a training run"),
        "at-once": Entry("vidtrans.store.stages:AtOnceStage", "models with the predicted looks of pictures"),
        "infer": Entry("vidtrans.store.stages:InferStage", "a model's raw outputs, lossless"),
        "faults": Entry(
            "vidtrans.store.stages:FaultsStage", "faults in a model's pictures of a shot, for their correction"
        ),
        "render": Entry("vidtrans.store.stages:RenderStage", "filtered and encoded segments"),
        "parts": Entry("vidtrans.store.stages:PartsStage", "settings shared by hosts that render parts of a result"),
        "retime": Entry("vidtrans.store.stages:RetimeStage", "encoded segments of a clip with changed time"),
        "dream": Entry("vidtrans.store.stages:DreamStage", "encoded segments of a dream, and states to resume from"),
    },
)


def libraries(*names: str) -> Table:
    """Return the installed versions of libraries that affect a stage's result, without importing them."""
    return {name: _version(name) for name in names}


@cache  # Parsing a package's record at each call would take a tenth of the render time of a tiny clip
def _version(name: str) -> str:
    """Return the installed version of a library."""
    from importlib.metadata import version  # Slow to import, and commands list stages

    return version(name)


def media_libraries() -> Table:
    """Return the versions of the libraries that decode, encode and process pictures."""
    return libraries("av", "opencv-python-headless")


@dataclass(frozen=True)
class Stage:
    """The base class of cached stages. The fields give the cache key; empty ``optional`` fields are left out."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    optional: ClassVar[tuple[str, ...]] = ()

    @property
    def key(self) -> str:
        """Return the cache key: the SHA-256 of name, version and parameters."""
        return digest_of({"stage": self.name, "version": self.version, **self.parameters()})

    @classmethod
    def id(cls) -> str:
        """Return the stage's name and version, a part of the digest of everything that affects a result."""
        return f"{cls.name} {cls.version}"

    def parameters(self) -> Table:
        """Return the fields in the stage's cache key, without the stage's name and version."""
        return {name: value for name, value in asdict(self).items() if value or name not in self.optional}


@dataclass(frozen=True)
class IndexStage(Stage):
    """The stage of a clip's index: the timestamps of its frames and the cuts between its shots."""

    name: ClassVar[str] = "index"
    version: ClassVar[int] = 4
    optional: ClassVar[tuple[str, ...]] = ("pictures", "until")
    source: str  # Content digest
    guides: list[str]
    survey_version: int
    libraries: Table
    pictures: int = 0  # Version of the reader of pictures
    until: str = ""  # The time up to which, or a little further, the clip is read; '': to the end


@dataclass(frozen=True)
class MaskLevelsStage(Stage):
    """The stage of a mask's grey levels, from which the limit between inside and outside is derived."""

    name: ClassVar[str] = "mask-levels"
    mask: str  # Content digest of the mask's clip
    used: list[int]  # [first, stop) frames
    libraries: Table


@dataclass(frozen=True)
class FoundMaskStage(Stage):
    """The stage of the mattes of what is found in a clip's pictures: people, faces, a screen, a colour."""

    name: ClassVar[str] = "found-mask"
    source: str  # Content digest
    shots: list[int]
    term: str
    screen: list[float]  # Channel and colour of a screen; [] for other terms
    method: str  # Versions of the methods, and digests of the networks
    libraries: Table


@dataclass(frozen=True)
class ExposureStage(Stage):
    """The stage of corrections of the exposure of a clip's frames."""

    name: ClassVar[str] = "exposure"
    source: str  # Content digest
    shots: list[int]
    method: int  # Version of the method
    libraries: Table


@dataclass(frozen=True)
class FilterStage(Stage):
    """The stage of a source clip after a filter graph of the user's ffmpeg."""

    name: ClassVar[str] = "filter"
    source: str
    graph: str
    program: str  # Version of ffmpeg
    libraries: Table


@dataclass(frozen=True)
class DatasetStage(Stage):
    """The stage of the pictures of a dataset while it is being written, from which an interrupted command resumes."""

    name: ClassVar[str] = "dataset"
    version: ClassVar[int] = 2
    optional: ClassVar[tuple[str, ...]] = ("extractor",)
    sources: list[Table]  # Name, content digest, first, stop, target digest
    pairing: Table
    settings: Table
    survey_version: int
    libraries: Table
    extractor: Table = field(default_factory=dict)  # Engine of the extractor, if the pairing has one


@dataclass(frozen=True)
class CarryStage(Stage):
    """The stage of the motion from one key frame to the frames before or after it in its shot."""

    name: ClassVar[str] = "carry"
    source: str
    size: list[int]  # Width, height
    shot: list[int]  # [first, stop) frames
    key_frame: int
    onward: bool  # Frames after the key frame, instead of before it
    method: int  # Version of the method
    libraries: Table


@dataclass(frozen=True)
class MatteNetworkStage(Stage):
    """The stage of a network that learned to segment one object from the frames on which a user painted it."""

    name: ClassVar[str] = "matte-network"
    source: str  # Content digest
    size: list[int]  # Width, height of the network's input
    painted: list[list[object]]  # Frame number and digest of the paint
    settings: Table
    seed: int
    engine: Table  # Precision, threads
    method: int  # Version of the method
    weights: str  # Identity of the pretrained features
    libraries: Table


@dataclass(frozen=True)
class MatteStage(Stage):
    """The stage of the mattes of one object in the frames before or after a painted frame."""

    name: ClassVar[str] = "matte"
    network: str  # Key of the MatteNetworkStage
    key_frame: int
    frames: list[int]  # First, stop, step
    method: int  # Version of the method


@dataclass(frozen=True)
class MatchStage(Stage):
    """The stage of matched clips: for each frame of a target clip, the frame of another clip with the same content.

    Each match includes the overlap of both frames.
    """

    name: ClassVar[str] = "match"
    given: str  # Content digest of the other clip
    target: str  # Content digest of the target clip
    given_span: list[int]  # [first, stop) frames
    target_span: list[int]  # First, stop, step
    size: list[int]  # Width, height
    method: int  # Version of the method
    libraries: Table


@dataclass(frozen=True)
class TrainStage(Stage):
    """The stage of a training: its checkpoints and its model."""

    name: ClassVar[str] = "train"
    version: ClassVar[int] = 10
    dataset: str  # Content digest
    pairing: Table
    generator: Table
    discriminator: Table
    settings: Table
    seed: int
    start: str  # Content digest of --from, or ''
    engine: Table  # Device class, precision, threads, world size
    libraries: Table
    steps: int
    fresh: bool
    card: Table

    def description(self) -> Table:
        """Return the parameters and the version, which other trainings compare to decide whether they can resume."""
        return {"version": self.version, **self.parameters()}

    @property
    def run_key(self) -> str:
        """Return a digest that two trainings share if one can continue the other.

        The digest leaves out the number of steps, ``fresh`` and ``card``.
        """
        return digest_of({k: v for k, v in self.description().items() if k not in ("steps", "fresh", "card")})


@dataclass(frozen=True)
class InferStage(Stage):
    """The stage of a model's raw outputs for a clip, before temporal filter and blending."""

    name: ClassVar[str] = "infer"
    version: ClassVar[int] = 5
    optional: ClassVar[tuple[str, ...]] = ("memory", "extraction", "held", "lead")
    source: str
    first: int
    stop: int
    shots: list[int]
    chunk_frames: int
    model: str  # Content digest, or 'identity'
    pairing: Table
    drawn: bool
    mask: Table  # Content digest and frame steps, if the pairing uses the mask
    size: list[int]  # Width, height
    depth: int  # Bits per channel, 8 or 16
    transparency: str
    engine: Table
    libraries: Table
    memory: Table = field(default_factory=dict)  # Properties of a recurrent model's history
    extraction: str = ""  # Key of the stage of the extractor's pictures
    held: str = ""  # Digest of the frames that repeat the frame before
    lead: int = 0  # Number of frames before the result, which are only context


@dataclass(frozen=True)
class AtOnceStage(Stage):
    """The stage of a model whose styles a network predicted from pictures, without training."""

    name: ClassVar[str] = "at-once"
    looks: list[str]  # Names
    mixtures: list[list[tuple[str, float]]]  # Digests and shares of the pictures of each look
    weights: str  # Digest of the file of weights in the package
    method: int  # Version of the method


@dataclass(frozen=True)
class FaultsStage(Stage):
    """The stage of the faults (lost detail, noise) of a model's pictures, measured in a few frames of one shot."""

    name: ClassVar[str] = "faults"
    outputs: Table  # Parameters of the infer stage that are the same for any part of the clip
    frames: list[int]
    method: int  # Version of the method


@dataclass(frozen=True)
class RenderStage(Stage):
    """The stage of a render's encoded chunks (segments), after temporal filter and blending."""

    name: ClassVar[str] = "render"
    version: ClassVar[int] = 4
    optional: ClassVar[tuple[str, ...]] = ("strokes",)
    outputs: str  # Key of the infer stage
    filter: Table
    guide: Table  # Source and frame steps of another clip that guides the filter
    directing: Table  # Curves, mask and feather
    encoding: Table
    picture: Table  # Size, pixel aspect, time base, rate, depth, alpha
    libraries: Table
    strokes: Table = field(default_factory=dict)  # Medium, settings, curves and pictures of strokes


@dataclass(frozen=True)
class PartsStage(Stage):
    """The stage of the properties that must be equal on all hosts that render parts of a result."""

    name: ClassVar[str] = "parts"
    output: str  # Path relative to the cache's parent folder


@dataclass(frozen=True)
class DreamStage(Stage):
    """The stage of the encoded chunks of a dream: a video in which a model predicts each frame from its last frames.

    Only the key of a loop has the number of frames, because other dreams can be extended.
    """

    name: ClassVar[str] = "dream"
    version: ClassVar[int] = 2
    optional: ClassVar[tuple[str, ...]] = ("upscale",)
    seed: Table  # Content digest and frames, or the noise
    models: list[Table]  # Content digest and pairing of each
    sequence: Table  # Order and times of several models
    size: list[int]  # Width, height
    rate: str
    controls: Table
    loop: Table
    blend: Table  # Content digest of the driving video
    sound: Table  # Content digest, if an expression uses the sound
    chunk_frames: int
    encoding: Table
    picture: Table
    engine: Table
    libraries: Table
    upscale: Table = field(default_factory=dict)  # Mode and version, if pictures are enlarged before the encoder


@dataclass(frozen=True)
class RetimeStage(Stage):
    """The stage of the encoded chunks of a clip with changed time."""

    name: ClassVar[str] = "retime"
    version: ClassVar[int] = 1
    clip: str  # Content digest
    frames: list[int]  # First and stop
    distinct: str  # Digest of the numbers of those that differ from the one before
    shots: list[int]
    times: list[list[str]]  # Nodes of the map of the clip's time to the result's, in seconds
    rate: str
    hold: int
    shutter: str
    holds_doubt: bool
    chunk_frames: int
    encoding: Table
    picture: Table
    made_by: int  # Version of the frames between frames
    libraries: Table
    guide: Table = field(default_factory=dict)  # Digests of the guide, and of the frames that have a picture
