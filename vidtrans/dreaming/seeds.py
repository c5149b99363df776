"""The seed of a rollout, which is a video, a picture, or noise, and the driving video of a rollout."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.settings import Size, Table, Time
from vidtrans.dreaming.drift_correction import FrameStatistics
from vidtrans.dreaming.predictors import NOISE
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import cover_crop, resize

OCTAVES = 4  # Number of scales in the seed noise
# Mean and standard deviation of the channels, (3,) each in [-1, 1], for models without training statistics
DEFAULT_STATISTICS = np.zeros(3, np.float32), np.full(3, 0.3, np.float32)


@dataclass(frozen=True)
class Seed:
    """The seed frames of a ``clip`` (None: noise), oldest first; all sizes are (width, height).

    ``rate``: frames per second of a video, else None. ``zoom``: magnification of the frames' centre.
    """

    clip: Clip | None
    frames: tuple[int, ...]
    size: tuple[int, int]
    output_size: tuple[int, int]
    sample_aspect_ratio: Fraction
    rate: Fraction | None
    zoom: float = 1.0

    @property
    def name(self) -> str:
        """Return the name of the clip, or "noise"."""
        return self.clip.name if self.clip else NOISE

    def pictures(self, context: Context, statistics: FrameStatistics | None) -> list[np.ndarray]:
        """Return the seed's pictures at the working size, each (3, H, W) float32 in [-1, 1].

        ``statistics``: those of the training frames, for noise.
        """
        if self.clip is None:
            return [smooth_noise(*self.size, context.seed, statistics)] * len(self.frames)
        whole = enlarged_size(self.size, self.zoom)
        form = FrameFormat(Size(exact=whole), deep=self.clip.index.findings.depth > 8)
        rows, columns = middle_of(whole, self.size)
        with closing(self.clip.cursor(form, context.decode_threads)) as cursor:
            return [to_signed(cursor(number).rgb[rows, columns]) for number in self.frames]

    def for_key(self, context: Context) -> Table:
        """Return the properties that affect the frames, for cache keys."""
        if self.clip is None:
            return {"noise": context.seed, "zoom": self.zoom}
        return {"source": self.clip.digest, "frames": list(self.frames), "zoom": self.zoom}


def enlarged_size(size: tuple[int, int], zoom: float) -> tuple[int, int]:
    """Return the (width, height) of a picture magnified by ``zoom``, in which a crop of ``size`` can be centred.

    Each side stays even or odd, so that the crop begins at a whole pixel.
    """
    width, height = (side + 2 * round(side * (zoom - 1) / 2) for side in size)
    return width, height


def middle_of(whole: tuple[int, int], size: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of the centre of (width, height) ``size`` in a picture of size ``whole``."""
    left, top = ((outer - inner) // 2 for outer, inner in zip(whole, size, strict=True))
    return slice(top, top + size[1]), slice(left, left + size[0])


def to_signed(picture: np.ndarray) -> np.ndarray:
    """Convert a picture (H, W, 3) uint8 or uint16 to (3, H, W) float32 in [-1, 1]."""
    middle = np.float32(np.iinfo(picture.dtype).max / 2)
    return np.ascontiguousarray((picture.astype(np.float32) / middle - 1).transpose(2, 0, 1))


def find_seed(
    source: Path | None,
    model: LoadedModel,
    count: int,
    size_option: str,
    start: Time | None,
    context: Context,
    zoom: float = 1.0,
) -> Seed:
    """Return the seed: ``count`` frames from the time ``start`` on, spaced by the model's ``step`` frames.

    ``size_option``: the value of ``rendering.size``. ``zoom``: magnification of the frames' centre. Raises UsageError,
    MediaError.
    """
    if source is None:
        size = _noise_size(model, size_option, start)
        return Seed(None, (0,) * count, size, size, Fraction(1), None, zoom)
    clip = open_clip(context, source)
    index = clip.index
    if not index.same_size:
        raise UsageError(str(source), "its pictures are not of one size", "give pictures of one size")
    single = clip.is_pictures and index.num_frames == 1
    if single and start is not None:
        raise UsageError(f"--start {start}", f"{source} is one picture", "leave out --start")
    first, stop = clip.trim(start, None)
    reach = (count - 1) * model.pairing.settings.step + 1
    numbers = tuple(range(first, first + reach, model.pairing.settings.step))
    if single:
        numbers = (0,) * count
    elif stop - first < reach:
        available = f"{stop - first} frame{'s' * (stop - first > 1)}" + (f" from {start} on" if start else "")
        remedy = "begin with an earlier --start, a longer clip, or a picture"
        raise MediaError(str(source), f"it has {available}, and '{model.name}' needs {reach}", remedy)
    elif cut := next((shot for shot in clip.shots if first < shot <= numbers[-1]), None):
        context.warn_once(
            f"{clip.name}: a cut, at frame {cut}, lies within the seed: --start {cut} begins after it", source
        )
    output_size = index.width, index.height
    rate = None if clip.is_pictures else index.rate
    size = model.working_size(size_option, output_size)
    return Seed(clip, numbers, size, output_size, index.sample_aspect_ratio, rate, zoom)


def _noise_size(model: LoadedModel, size_option: str, start: Time | None) -> tuple[int, int]:
    """Return the (width, height) of seed noise. Raises UsageError for options that noise cannot have.

    ``size_option``: the value of ``rendering.size``. ``start``: that of ``--start``.
    """
    if start is not None:
        raise UsageError(f"--start {start}", "noise has no start time", "leave out --start")
    assert model.record is not None
    size = model.size_for(size_option)
    if size.exact:
        return size.exact
    if size.short is None:
        raise UsageError("--size source", "noise has no size of its own", "give a number, or WxH")
    return size.short, size.short


class Driver:
    """A driving video, resampled to the rollout's frame rate and cropped to its size; the last frame is repeated."""

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, num_frames: int, context: Context) -> None:
        self.clip, self.size, self.rate = open_clip(context, path), size, rate
        index = self.clip.index
        if not index.same_size:
            raise UsageError(str(path), "its pictures are not of one size", "give pictures of one size")
        times = [(p - index.pts[0]) * index.time_base for p in index.pts]
        self._source_frames = [bisect_right(times, n / rate) - 1 for n in range(num_frames)]
        if index.num_frames > 1 and num_frames / rate > times[-1] + index.last_duration * index.time_base:
            context.warn_once(f"{path.name} ends after {index.duration_s:.2f} s: its last frame is repeated", path)

    @contextmanager
    def pictures(self, threads: int) -> Iterator[Callable[[int], np.ndarray]]:
        """Open the video; yield a function from a frame number to its picture, (3, H, W) float32 in [-1, 1]."""
        whole, rows, columns = cover_crop(self.clip.index.width, self.clip.index.height, self.size)
        with closing(self.clip.cursor(FrameFormat(Size(exact=whole)), threads)) as cursor:
            yield lambda frame: to_signed(resize(cursor(self._source_frames[frame]).rgb, *whole)[rows, columns])


def smooth_noise(width: int, height: int, seed: int, statistics: FrameStatistics | None) -> np.ndarray:
    """Return Gaussian noise of ``OCTAVES`` scales, strongest in the coarsest, (3, H, W) float32 in [-1, 1].

    ``seed``: the random seed. ``statistics``: those of the training frames, whose channel means and deviations it gets.
    """
    rng = np.random.default_rng(seed)
    noise = np.zeros((height, width, 3), np.float32)
    short = min(width, height)
    for octave in range(OCTAVES):
        cell = max(1, short // (4 * 2**octave))
        coarse = rng.standard_normal((-(-height // cell) + 1, -(-width // cell) + 1, 3)).astype(np.float32)
        noise += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    noise = (noise - noise.mean((0, 1))) / np.maximum(noise.std((0, 1)), 1e-6)
    mean, deviation = DEFAULT_STATISTICS if statistics is None else statistics.mean_and_deviation()
    return np.ascontiguousarray((noise * deviation + mean).clip(-1, 1).transpose(2, 0, 1), np.float32)
