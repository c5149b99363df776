"""The commands as functions, and frames. Written by docs/generate.py: change these, not this file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidtrans.core.settings import Time
from vidtrans.commands.results import ClipScores as ClipScores
from vidtrans.commands.results import CommandResult as CommandResult
from vidtrans.commands.results import MadeDataset as MadeDataset
from vidtrans.commands.results import MadePicture as MadePicture
from vidtrans.commands.results import ProbedClip as ProbedClip
from vidtrans.commands.results import RenderedClip as RenderedClip
from vidtrans.commands.results import SampledCurves as SampledCurves
from vidtrans.commands.results import TrainedModel as TrainedModel
from vidtrans.commands.results import VoteOutcome as VoteOutcome
from vidtrans.core.errors import BatchError as BatchError
from vidtrans.core.errors import DeviceError as DeviceError
from vidtrans.core.errors import Interrupted as Interrupted
from vidtrans.core.errors import MediaError as MediaError
from vidtrans.core.errors import ModelError as ModelError
from vidtrans.core.errors import PluginError as PluginError
from vidtrans.core.errors import UsageError as UsageError
from vidtrans.core.errors import VidtransError as VidtransError
from vidtrans.core.events import BatchStatus as BatchStatus
from vidtrans.core.events import Event as Event
from vidtrans.core.events import Note as Note
from vidtrans.core.events import Preview as Preview
from vidtrans.core.events import Progress as Progress
from vidtrans.core.events import Report as Report
from vidtrans.core.events import Stop as Stop
from vidtrans.library.frame_model import DeflickeredFrames as DeflickeredFrames
from vidtrans.library.frame_model import FrameModel as FrameModel
from vidtrans.library.frame_model import load_model as load_model
from vidtrans.library.opened_clip import OpenedClip as OpenedClip
from vidtrans.library.opened_clip import open_clip as open_clip
from vidtrans.library.opened_clip import write_clip as write_clip
from vidtrans.library.opened_dataset import DatasetPair as DatasetPair
from vidtrans.library.opened_dataset import OpenedDataset as OpenedDataset
from vidtrans.library.opened_dataset import open_dataset as open_dataset
from vidtrans.library.picture_arrays import ClipFrame as ClipFrame
from vidtrans.library.picture_critic import PictureCritic as PictureCritic
from vidtrans.library.propagator import Propagator as Propagator
from vidtrans.models.formats import model_suffixes as model_suffixes
from vidtrans.models.paintings import painting_names as painting_names
from vidtrans.models.paintings import painting_picture as painting_picture
from vidtrans.models.paintings import shipped_looks as shipped_looks
from vidtrans.strokes.media import medium_names as medium_names
from vidtrans.strokes.media import medium_picture as medium_picture

__version__: str
LIBRARY: dict[str, str]

Deflicker = DeflickeredFrames

def batch_report(
    folder: Path | str = ...,
    output: Path | str | None = ...,
    *,
    hours: float = ...,
    cache_dir: Path | str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Write a report page on the renders of a batch: the chunks of each host over time, the slowest chunks, failures.

    If FOLDER has the summary of a batch, the page covers the clips of that batch. Otherwise it covers all renders with
    this cache, on any host."""

def bench(
    model: Path | str = ...,
    size: int = ...,
    frames: int = ...,
    slow: bool = ...,
    *,
    device: str = ...,
    dry_run: bool = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Measure the speed of each step of a render, in frames per second.

    The command prints the slowest step, and the engine that 'auto' uses. It measures on a generated clip, and leaves no
    files except the compilation caches of compile and openvino."""

def check_installation(
    self_test: bool = ...,
    *,
    device: str = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Check the device, codecs, libraries and disk, and suggest a remedy for each problem."""

def clean_cache(
    stage: Sequence[str] | str = ...,
    *,
    cache_dir: Path | str = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Delete entries of the cache. Results, datasets, models, and entries that a run uses are kept."""

def compare(
    clips: Path | Sequence[Path | str] | str,
    output: Path | str | None = ...,
    *,
    labels: Sequence[str] | str = ...,
    input_of: Path | str | None = ...,
    columns: int | None = ...,
    frames: int | None = ...,
    start: Time | str | None = ...,
    end: Time | str | None = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> MadePicture:
    """Show clips side by side under their names. Frames are matched by time. Timing and sound are those of A."""

def deflicker(
    processed: Path | Sequence[Path | str] | str,
    source: Path | str | None = ...,
    output: Path | str | None = ...,
    *,
    beside: bool = ...,
    start: Time | str | None = ...,
    end: Time | str | None = ...,
    exposure: bool = ...,
    mask: Path | str | None = ...,
    sound: Path | str | None = ...,
    cuts: Path | str | None = ...,
    strength: float | str | None = ...,
    mix: float | str | None = ...,
    keep_colour: float | str | None = ...,
    keep_shading: float | str | None = ...,
    strokes: Path | str | None = ...,
    palette: Path | str | None = ...,
    strokes_size: float | str | None = ...,
    strokes_density: float | str | None = ...,
    strokes_looseness: float | str | None = ...,
    strokes_light: float | str | None = ...,
    strokes_paper: float | str | None = ...,
    strokes_fade: int | None = ...,
    strokes_lag: float | None = ...,
    strokes_on: int | None = ...,
    strokes_boil: int | None = ...,
    strokes_fine: Path | str | None = ...,
    strokes_directions: Path | str | None = ...,
    temporal: str | None = ...,
    codec: str | None = ...,
    fps: str | None = ...,
    filter: str | None = ...,
    jobs: int | None = ...,
    shard: str = ...,
    halt: bool = ...,
    retry: bool = ...,
    executor: str = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    decoder: str = ...,
    cache_limit_gb: float = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> RenderedClip:
    """Remove flicker from PROCESSED, the output of a style network, a colouriser or a diffusion model.

    PROCESSED and its --source can be videos, folders of pictures, or numbered pictures (frames/%05d.png). Pictures are
    matched with the source by the numbers in their names. Videos are matched frame by frame if both have the same
    number of frames, else by time. The result has the frames, times, size and sound of PROCESSED. If PROCESSED has no
    sound, the result has the sound of the source. Instead of several videos, you can give a folder or a
    pattern ('renders/*.mp4')."""

def demo(
    output: Path | str | None = ...,
    minutes: float | None = ...,
    from_nothing: bool = ...,
    *,
    cache_dir: Path | str = ...,
    device: str = ...,
    seed: int = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    cache_limit_gb: float = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Make a sample result: a film scene in the look of a flower. You need no files.

    The command trains a bundled model further, and renders the scene with it."""

def dream(
    source: Path | Sequence[Path | str] | str,
    model: Path | Sequence[Path | str] | str,
    output: Path | str | None = ...,
    *,
    frames: int,
    start: Time | str | None = ...,
    blend: Path | str | None = ...,
    mask: Path | str | None = ...,
    sound: Path | str | None = ...,
    zoom: float | str | None = ...,
    rotate: float | str | None = ...,
    pan_x: float | str | None = ...,
    pan_y: float | str | None = ...,
    hue: float | str | None = ...,
    speed: float | str | None = ...,
    position: float | None = ...,
    start_zoom: float | None = ...,
    steer: Path | str | None = ...,
    goto: int | None = ...,
    actions: Path | str | None = ...,
    recall: float | str | None = ...,
    wander: float | str | None = ...,
    loop: bool | None = ...,
    blend_amount: float | str | None = ...,
    drift_correction: float | None = ...,
    every: int | None = ...,
    morph: bool | None = ...,
    upscale: str | None = ...,
    size: str | None = ...,
    engine: str | None = ...,
    codec: str | None = ...,
    fps: str | None = ...,
    filter: str | None = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    seed: int = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    cache_limit_gb: float = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> RenderedClip:
    """Generate frames with a model that predicts the next frame. SEED is a video, a picture or the word noise.

    To resume a stopped dream, run the same command again. To make a dream longer, raise --frames and add --overwrite."""

def evaluate(
    output: Path | Sequence[Path | str] | str,
    source: Path | str | None = ...,
    *,
    per_frame: Path | str | None = ...,
    reference: Path | str | None = ...,
    start: Time | str | None = ...,
    end: Time | str | None = ...,
    labels: Path | str | None = ...,
    labeller: Path | str | None = ...,
    matte: Path | str | None = ...,
    dream: bool = ...,
    size: int | None = ...,
    flow: str = ...,
    result: Path | str | None = ...,
    jobs: int | None = ...,
    shard: str = ...,
    halt: bool = ...,
    retry: bool = ...,
    executor: str = ...,
    cache_dir: Path | str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    cache_limit_gb: float = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> ClipScores:
    """Measure the flicker, sharpness and fidelity of a render, label maps or a matte, and list the worst moments."""

def export_model(
    model: Path | str,
    format: str,
    output: Path | str | None = ...,
    *,
    whole: bool = ...,
    look: str = ...,
    stroke_size: float | None = ...,
    cache_dir: Path | str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Write MODEL as a file for other programs, for pictures of any size.

    The command first runs the file on pictures of three sizes, and compares the results with those of the model."""

def fix(
    render: Path | str,
    painted: Path | str,
    output: Path | str | None = ...,
    *,
    relearn: bool = ...,
    mask: Path | str | None = ...,
    first_number: int | None = ...,
    program: Sequence[str] | str = ...,
    cache_dir: Path | str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    cache_limit_gb: float = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> RenderedClip:
    """Correct a few frames by hand, and apply the corrections to the rest of the clip.

    You paint over frames of RENDER, a result of 'propagate' or 'stylize'. The command compares the painted frames with
    RENDER to find the corrections. Everything else stays as it is. To undo a correction, remove its picture and run the
    command again."""

def grade(
    before: Path | str,
    after: Path | str,
    output: Path | str | None = ...,
    *,
    unpaired: bool = ...,
    method: str | None = ...,
    nodes: int = ...,
    cache_dir: Path | str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Learn a colour grade from pictures or clips BEFORE and AFTER grading.

    Each can be a picture, a folder of pictures, or a clip. Pictures are paired by their numbers, else by time. Sizes,
    crops and compression may differ."""

def import_model(
    model: Path | str,
    output: Path | str | None = ...,
    *,
    pairing: str | None = ...,
    size: int | None = ...,
    norms: str = ...,
    calibrate: Path | str | None = ...,
    invert: bool | None = ...,
    bgr: bool | None = ...,
    value_range: str = ...,
    layout: str = ...,
    style: Path | Sequence[Path | str] | str = ...,
    predictor: Path | str | None = ...,
    embed: bool = ...,
    trust: bool = ...,
    cache_dir: Path | str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Convert a model of another tool to a model file.

    FILE is a checkpoint of pix2pix, CycleGAN, CUT, pix2pixHD and others ('vidtrans model formats' lists them), or the
    folder of a training. The model file has the network and a description of its input. A network with many styles
    becomes a model with looks. Programs in FILE do not run, unless --trust allows it."""

def keyframes(
    video: Path | str,
    output: Path | str | None = ...,
    *,
    count: int | None = ...,
    start: Time | str | None = ...,
    end: Time | str | None = ...,
    cuts: Path | str = ...,
    cache_dir: Path | str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> MadePicture:
    """Choose the best frames of a clip for painting, and write them as pictures.

    The command also prints a score: how well the chosen frames reconstruct the other frames along the motion."""

def list_cache(
    *,
    cache_dir: Path | str = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """List the number and the size of cache entries, by stage."""

def list_models(
    *,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """List models and media that have a name: models for --model, media for --look and --strokes."""

def list_plugins(
    *,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """List the plug-ins of other packages, and the errors of plug-ins that cannot be used.

    A package declares a plug-in by an entry point. During development, VIDTRANS_PLUGINS=module:object declares it. This
    command imports all plug-ins; other commands import only the plug-ins that they use."""

def list_presets(
    *,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """List the bundled presets, with their purpose and the cost of a training."""

def look(
    pictures: Path | Sequence[Path | str] | str,
    output: Path | str | None = ...,
    *,
    on: Path | Sequence[Path | str] | str = ...,
    crop: str | None = ...,
    keep: Path | str | None = ...,
    minutes: float | None = ...,
    fresh: bool = ...,
    as_is: bool = ...,
    optimise: bool = ...,
    steps: int | None = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    seed: int = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    cache_limit_gb: float = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> TrainedModel:
    """Train a model on the style of one or more PICTURES, such as a painting, to render films in this style.

    If a PICTURE is a video, its middle frame is used. Five minutes on two cores are enough. To resume a stopped
    training, run the same command again."""

def make_dataset(
    videos: Path | Sequence[Path | str] | str,
    output: Path | str | None = ...,
    *,
    each: bool = ...,
    target: Path | str | None = ...,
    matte: Path | str | None = ...,
    unpaired: Path | Sequence[Path | str] | str = ...,
    start: Time | str | None = ...,
    end: Time | str | None = ...,
    restore: bool = ...,
    pairing: str | None = ...,
    size: str | None = ...,
    every: int | None = ...,
    cuts: Path | str | None = ...,
    jobs: int | None = ...,
    shard: str = ...,
    halt: bool = ...,
    retry: bool = ...,
    executor: str = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    cache_limit_gb: float = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> MadeDataset:
    """Make a dataset of pairs from videos, or from a folder of pairs (A/ + B/, or A|B pictures).

    With --unpaired, the dataset has no pairs, but two or more domains (kinds of pictures). VIDEO... are the first
    domain, and each --unpaired is another. A model then learns to make frames of the first domain look like those of
    another.

    Instead of several videos, you can give a folder or a pattern ('clips/*.mov').

    The dataset is a folder of pictures that you can look through. If you delete a picture, its pairs disappear."""

def matte(
    video: Path | Sequence[Path | str] | str,
    output: Path | str | None = ...,
    *,
    beside: bool = ...,
    frame: Path | Sequence[Path | str] | str = ...,
    keyframes: Path | str | None = ...,
    model: Path | str | None = ...,
    person: bool = ...,
    at: str = ...,
    segmenter: Path | str = ...,
    poses: Path | str | None = ...,
    layers: Path | str | None = ...,
    face: bool = ...,
    key: bool = ...,
    screen: str = ...,
    names: str = ...,
    inside: str = ...,
    outside: str = ...,
    with_colours: bool = ...,
    suggest: int = ...,
    min_confidence: float = ...,
    first_number: int | None = ...,
    start: Time | str | None = ...,
    end: Time | str | None = ...,
    steps: int | None = ...,
    edge: str | None = ...,
    feather: float | None = ...,
    grow: float | None = ...,
    cuts: Path | str | None = ...,
    codec: str | None = ...,
    jobs: int | None = ...,
    shard: str = ...,
    halt: bool = ...,
    retry: bool = ...,
    executor: str = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    seed: int = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    decoder: str = ...,
    cache_limit_gb: float = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> RenderedClip:
    """Cut one object out of VIDEO: paint it on one frame, and the command follows it through the clip.

    vidtrans matte clip.mp4 --frame 12=painted.png

    vidtrans matte clip.mp4 --person

    A painted frame is a mask (white on black), a cut-out with transparency, or the frame with a few strokes over it.
    Strokes are green on the object, red outside it. If some frames are wrong, paint more frames and run the command
    again. It computes only the frames between them and the nearest painted frames."""

def model_formats(
    *,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """List the supported model formats, of vidtrans and of other tools.

    The format of a file is detected from its content, not from its name."""

def probe(
    video: Path | str,
    *,
    cache_dir: Path | str = ...,
    dry_run: bool = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> ProbedClip:
    """Show the frames, times, cuts, tracks and colours of a clip, and its unusual properties."""

def propagate(
    video: Path | Sequence[Path | str] | str,
    keyframes: Path | str,
    output: Path | str | None = ...,
    *,
    beside: bool = ...,
    follow: str = ...,
    minutes: float | None = ...,
    preview: bool = ...,
    first_number: int | None = ...,
    start: Time | str | None = ...,
    end: Time | str | None = ...,
    mask: Path | str | None = ...,
    layer: bool = ...,
    temporal: str | None = ...,
    steps: int | None = ...,
    cuts: Path | str | None = ...,
    upscale: str | None = ...,
    sharpness: float | None = ...,
    strength: float | str | None = ...,
    mix: float | str | None = ...,
    keep_colour: float | str | None = ...,
    keep_shading: float | str | None = ...,
    strokes: Path | str | None = ...,
    palette: Path | str | None = ...,
    strokes_size: float | str | None = ...,
    strokes_density: float | str | None = ...,
    strokes_looseness: float | str | None = ...,
    strokes_light: float | str | None = ...,
    strokes_paper: float | str | None = ...,
    strokes_fade: int | None = ...,
    strokes_lag: float | None = ...,
    strokes_on: int | None = ...,
    strokes_boil: int | None = ...,
    strokes_fine: Path | str | None = ...,
    strokes_directions: Path | str | None = ...,
    codec: str | None = ...,
    jobs: int | None = ...,
    shard: str = ...,
    halt: bool = ...,
    retry: bool = ...,
    executor: str = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    seed: int = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    decoder: str = ...,
    cache_limit_gb: float = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> RenderedClip:
    """Carry the paint from one or a few painted frames of VIDEO to all its frames.

    First run vidtrans keyframes clip.mp4, and paint over the pictures in clip.keyframes. Then run:

    vidtrans propagate clip.mp4 --keyframes clip.keyframes"""

def retime(
    video: Path | str,
    output: Path | str | None = ...,
    *,
    guide: Path | str | None = ...,
    first_number: int | None = ...,
    start: Time | str | None = ...,
    end: Time | str | None = ...,
    fps: str = ...,
    speed: str = ...,
    hold: int = ...,
    motion_blur: float = ...,
    pitch: str = ...,
    doubt: str = ...,
    cuts: Path | str | None = ...,
    codec: str | None = ...,
    filter: str | None = ...,
    cache_dir: Path | str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    cache_limit_gb: float = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> RenderedClip:
    """Change the timing of VIDEO: frame rate, slow motion, speed ramps, held frames, motion blur.

    New frames are interpolated along the motion. If two frames differ too much, the nearer frame is repeated. The sound
    is stretched with the pictures."""

def run(
    video: Path | str | None = ...,
    *,
    apply: Path | Sequence[Path | str] | str,
    output: Path | str,
    looks: Path | Sequence[Path | str] | str = ...,
    at_once: bool = ...,
    target: Path | str | None = ...,
    keep: Path | str | None = ...,
    minutes: float | None = ...,
    pairing: str | None = ...,
    temporal: str | None = ...,
    steps: int | None = ...,
    cuts: Path | str | None = ...,
    upscale: str | None = ...,
    sharpness: float | None = ...,
    strength: float | str | None = ...,
    mix: float | str | None = ...,
    keep_colour: float | str | None = ...,
    keep_shading: float | str | None = ...,
    strokes: Path | str | None = ...,
    palette: Path | str | None = ...,
    strokes_size: float | str | None = ...,
    strokes_density: float | str | None = ...,
    strokes_looseness: float | str | None = ...,
    strokes_light: float | str | None = ...,
    strokes_paper: float | str | None = ...,
    strokes_fade: int | None = ...,
    strokes_lag: float | None = ...,
    strokes_on: int | None = ...,
    strokes_boil: int | None = ...,
    strokes_fine: Path | str | None = ...,
    strokes_directions: Path | str | None = ...,
    codec: str | None = ...,
    jobs: int | None = ...,
    shard: str = ...,
    halt: bool = ...,
    retry: bool = ...,
    executor: str = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    seed: int = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    decoder: str = ...,
    cache_limit_gb: float = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> RenderedClip:
    """Learn a look from VIDEO, or from pictures, and render clips in it. A second run reuses finished steps.

    vidtrans run film.mp4 --apply clip.mp4 -o out.mp4

    vidtrans run --look painting.jpg --apply clip.mp4 -o out.mp4

    vidtrans run --look painting.jpg --at-once --apply clip.mp4 -o out.mp4"""

def sample_curves(
    curve: Sequence[str] | str,
    *,
    clip: Path | str | None = ...,
    sound: Path | str | None = ...,
    mask: Path | str | None = ...,
    cuts: Path | str = ...,
    output: Path | str | None = ...,
    cache_dir: Path | str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> SampledCurves:
    """Show the values of CURVEs over a clip, as a plot over its sound, a table, or a summary.

    A CURVE is a value of --strength, --mix and similar options: a number, an expression, keyframes, or a
    file of values."""

def schema(
    command: Sequence[str] | str = ...,
    *,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Print the parameters of COMMAND as JSON Schema, or of all commands.

    Each parameter has its purpose, values, default in this folder, flags and section of the help. The schema marks
    rarely used parameters, and parameters that ``try`` varies. Small forms show a parameter always ("main") or when
    unfolded ("more"). The schema also shows what a value can reach: nothing ("plain"), a file or folder ("path"), or a
    program on your machine ("program"). Programs that accept untrusted values must not offer parameters of the kind
    "program". A parameter that accepts names can have one pattern with a wider reach: ffmpeg:NAME of --codec runs a
    program."""

def serve_live(
    model: Path | Sequence[Path | str] | str = ...,
    output: Path | str | None = ...,
    *,
    host: str = ...,
    port: int = ...,
    allow_network: bool = ...,
    https: bool = ...,
    token: str = ...,
    open_page: bool = ...,
    looks: Path | Sequence[Path | str] | str = ...,
    kiosk: bool = ...,
    upscale: str = ...,
    output_size: int = ...,
    mask: str = ...,
    osc: str = ...,
    osc_out: str = ...,
    send: Sequence[str] | str = ...,
    receive: str = ...,
    strokes: Path | str | None = ...,
    palette: Path | str | None = ...,
    strokes_size: float | str | None = ...,
    strokes_density: float | str | None = ...,
    strokes_looseness: float | str | None = ...,
    strokes_light: float | str | None = ...,
    strokes_paper: float | str | None = ...,
    strokes_fade: int | None = ...,
    strokes_lag: float | None = ...,
    strokes_on: int | None = ...,
    strokes_boil: int | None = ...,
    strokes_directions: Path | str | None = ...,
    size: str | None = ...,
    stroke_size: float | str | None = ...,
    engine: str | None = ...,
    strength: float | str | None = ...,
    keep_colour: float | str | None = ...,
    keep_shading: float | str | None = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    seed: int = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Run models live on a camera or a drawing, in a page of your browser.

    It runs until Ctrl-C."""

def serve_studio(
    folder: Path | str = ...,
    *,
    host: str = ...,
    port: int = ...,
    allow_network: bool = ...,
    https: bool = ...,
    token: str = ...,
    open_page: bool = ...,
    jobs: int = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Make looks, paint, judge and render in a page of your browser, with the files of FOLDER.

    It runs until Ctrl-C. Jobs continue after that, and the next start shows them."""

def sheet(
    source: Path | str,
    output: Path | str | None = ...,
    *,
    count: int | None = ...,
    pairings: Sequence[str] | str = ...,
    start: Time | str | None = ...,
    end: Time | str | None = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> MadePicture:
    """Put frames of a clip, or pairs of a dataset, into one picture."""

def show_model(
    model: Path | str,
    *,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Show the record of a model file."""

def show_preset(
    name: Path | str,
    *,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> CommandResult:
    """Show the file of a preset, with its comments. You can copy it, change it, and use it with --preset."""

def stylize(
    video: Path | Sequence[Path | str] | str,
    model: Path | Sequence[Path | str] | str = ...,
    output: Path | str | None = ...,
    *,
    beside: bool = ...,
    mask: Path | Sequence[Path | str] | str = ...,
    region: Path | Sequence[Path | str] | str = ...,
    rest: Path | Sequence[Path | str] | str = ...,
    handles: int = ...,
    media: Path | Sequence[Path | str] | str = ...,
    rate: str = ...,
    start: Time | str | None = ...,
    end: Time | str | None = ...,
    score: bool = ...,
    chunk: str | None = ...,
    join: bool = ...,
    print_jobs: str | None = ...,
    filter_source: str | None = ...,
    drawn: str | None = ...,
    sound: Path | str | None = ...,
    cuts: Path | str | None = ...,
    size: str | None = ...,
    look: Path | str | None = ...,
    stroke_size: float | str | None = ...,
    engine: str | None = ...,
    draft: int | None = ...,
    upscale: str | None = ...,
    sharpness: float | None = ...,
    strength: float | str | None = ...,
    mix: float | str | None = ...,
    keep_colour: float | str | None = ...,
    keep_shading: float | str | None = ...,
    strokes: Path | str | None = ...,
    palette: Path | str | None = ...,
    strokes_size: float | str | None = ...,
    strokes_density: float | str | None = ...,
    strokes_looseness: float | str | None = ...,
    strokes_light: float | str | None = ...,
    strokes_paper: float | str | None = ...,
    strokes_fade: int | None = ...,
    strokes_lag: float | None = ...,
    strokes_on: int | None = ...,
    strokes_boil: int | None = ...,
    strokes_fine: Path | str | None = ...,
    strokes_directions: Path | str | None = ...,
    temporal: str | None = ...,
    codec: str | None = ...,
    fps: str | None = ...,
    filter: str | None = ...,
    jobs: int | None = ...,
    shard: str = ...,
    halt: bool = ...,
    retry: bool = ...,
    executor: str = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    decoder: str = ...,
    cache_limit_gb: float = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> RenderedClip:
    """Paint videos in a look, or with a model. Every frame, every timestamp and the sound are kept.

    vidtrans stylize clip.mp4 --look oil

    vidtrans stylize clip.mp4 --look painting.jpg

    vidtrans stylize clip.mp4 --model mine

    To resume a stopped render, run the same command again.

    A VIDEO can also be a picture, a folder of pictures, or numbered pictures (frames/%05d.png). The result is of the
    same kind, unless -o sets another.

    For several clips, give a folder of videos, a pattern ('clips/*.mov'), or a list (clips.toml). A list can have
    models and options for each clip. If a clip fails, the command reports it and renders the others. A timeline of an
    editor (.otio, .edl) is also a list of clips. A new timeline with the results is written beside them.

    Several models (--model a --model b) form a chain: each takes the output of the model before, in one pass. The
    temporal filter is applied once, at the end."""

def train(
    dataset: Path | str,
    output: Path | str | None = ...,
    *,
    minutes: float | None = ...,
    ablate: str | None = ...,
    labeller: Path | str = ...,
    sweep: Sequence[str] | str = ...,
    start_from: Path | str | None = ...,
    fresh: bool = ...,
    as_is: bool = ...,
    embed: bool = ...,
    steps: int | None = ...,
    jobs: int | None = ...,
    executor: str = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    seed: int = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    cache_limit_gb: float = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> TrainedModel:
    """Train a model on a dataset. To resume a stopped training, run the same command again."""

def try_out(
    video: Path | str,
    models: Path | Sequence[Path | str] | str = ...,
    output: Path | str | None = ...,
    *,
    vary: Path | Sequence[Path | str] | str = ...,
    frames: int = ...,
    at: Sequence[Time | str] | Time | str = ...,
    strokes: Path | str | None = ...,
    palette: Path | str | None = ...,
    strokes_size: float | str | None = ...,
    strokes_density: float | str | None = ...,
    strokes_looseness: float | str | None = ...,
    strokes_light: float | str | None = ...,
    strokes_paper: float | str | None = ...,
    strokes_directions: Path | str | None = ...,
    size: str | None = ...,
    look: Path | str | None = ...,
    stroke_size: float | str | None = ...,
    upscale: str | None = ...,
    sharpness: float | None = ...,
    strength: float | str | None = ...,
    mix: float | str | None = ...,
    keep_colour: float | str | None = ...,
    keep_shading: float | str | None = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> MadePicture:
    """Compare settings in a grid of a few frames, in seconds, before you render a whole clip."""

def vote(
    clips: Path | Sequence[Path | str] | str = ...,
    output: Path | str | None = ...,
    *,
    host: str = ...,
    port: int = ...,
    allow_network: bool = ...,
    https: bool = ...,
    token: str = ...,
    open_page: bool = ...,
    real: Path | str | None = ...,
    labels: Sequence[str] | str = ...,
    stills: bool = ...,
    seconds: float | None = ...,
    trials: int = ...,
    repeats: float = ...,
    critic: Path | str | None = ...,
    results: Path | Sequence[Path | str] | str = ...,
    left_out: Sequence[str] | str = ...,
    cache_dir: Path | str = ...,
    seed: int = ...,
    overwrite: bool = ...,
    dry_run: bool = ...,
    allow_damaged: bool = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> VoteOutcome:
    """Let people judge pictures or clips blind: they choose the better one, or with --real the real one.

    It runs until Ctrl-C. The same command continues the vote. Votes are saved beside the page, in a .jsonl file with
    the same name."""

def watch_folder(
    folder: Path | str,
    output: Path | str,
    *,
    model: Path | Sequence[Path | str] | str = ...,
    mask: Path | str | None = ...,
    idle: float | None = ...,
    filter_source: str | None = ...,
    drawn: str | None = ...,
    sound: Path | str | None = ...,
    cuts: Path | str | None = ...,
    size: str | None = ...,
    look: Path | str | None = ...,
    stroke_size: float | str | None = ...,
    engine: str | None = ...,
    draft: int | None = ...,
    upscale: str | None = ...,
    sharpness: float | None = ...,
    strength: float | str | None = ...,
    mix: float | str | None = ...,
    keep_colour: float | str | None = ...,
    keep_shading: float | str | None = ...,
    strokes: Path | str | None = ...,
    palette: Path | str | None = ...,
    strokes_size: float | str | None = ...,
    strokes_density: float | str | None = ...,
    strokes_looseness: float | str | None = ...,
    strokes_light: float | str | None = ...,
    strokes_paper: float | str | None = ...,
    strokes_fade: int | None = ...,
    strokes_lag: float | None = ...,
    strokes_on: int | None = ...,
    strokes_boil: int | None = ...,
    strokes_fine: Path | str | None = ...,
    strokes_directions: Path | str | None = ...,
    temporal: str | None = ...,
    codec: str | None = ...,
    fps: str | None = ...,
    filter: str | None = ...,
    jobs: int | None = ...,
    executor: str = ...,
    cache_dir: Path | str = ...,
    device: str = ...,
    overwrite: bool = ...,
    allow_damaged: bool = ...,
    decoder: str = ...,
    cache_limit_gb: float = ...,
    preset: str | None = ...,
    settings: Mapping[str, Mapping[str, Any]] | None = ...,
    report: Report | None = ...,
    stop: Stop | None = ...,
) -> RenderedClip:
    """Paint each new video in FOLDER, as soon as its size no longer changes.

    vidtrans batch watch incoming -o painted --look oil

    The command runs until you stop it. If you start it again, it paints the missing videos. If a video fails, the
    command reports it, and tries it again when the video changes. All other options are those of 'stylize'."""
