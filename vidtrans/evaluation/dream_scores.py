"""Score a dream (the rollout of a frame-prediction model) against the model's training clip."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import segment_centres
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.settings import Size, Table, Time
from vidtrans.evaluation.scoring import COMMON_KEYS, write_scores
from vidtrans.metrics import SHORT_SIDE, dreams
from vidtrans.metrics.picture_quality import PSNR_CAP, psnr
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import cover_crop, resize
from vidtrans.video.plots import ContactSheet, cell_size

VERSION = 1  # Version of the dream scores, for digests
MIN_FRAMES = {"m1": 2, "m4": 5, "uniq": dreams.LATE_FRAMES.start + 1}  # Minimum number of a film's frames, by score
MAX_ASPECT_RATIO = 1.05  # Ratio of the clips' aspect ratios above which the crop is reported
CELL_SIDE_PX = 320  # Long side of a picture in the strip of frames, in pixels


def check_dream(film: Clip, source: Clip, start: Time | None) -> None:
    """Raise UsageError if ``score_dream`` cannot compare the film with the source."""
    for given in (film, source):
        if not given.index.same_size:
            raise UsageError(given.path.name, "its pictures are not of one size", "evaluate pictures of one size")
    if source.index.num_frames < 2:
        why = "it is a single picture, and a dream is compared with a clip that moves"
        raise UsageError(f"--source {source.name}", why, "give the clip that the model learned")
    begin = 1 if start is None else source.frame_at(start)
    if not 0 < begin < source.index.num_frames:
        why = f"{source.name} is compared from there on, and {'has no frame before' if not begin else 'it has ended'}"
        raise UsageError(f"--start {start}", why, "give a time after its first frame, or leave it out")


def score_dream(
    film: Clip, source: Clip, start: Time | None, size: int | None, result: Path | None, context: Context
) -> Table:
    """Return the scores of a film's last 300 frames by ``metrics.dreams``; ``source`` is the training clip.

    ``start``: the time in the source that matches the film's first frame; if given, the table has ``horizons`` and
    ``copy_last``. ``result``: the file to write: a strip of frames above the nearest source frames (.png), or all
    values (.json). Pictures are compared with a short side of ``size``, by default SHORT_SIDE, or at the film's size if
    that is smaller. Raises UsageError, MediaError.
    """
    check_dream(film, source, start)
    total = film.index.num_frames
    first = max(0, total - dreams.ROLLOUT_FRAMES)
    reader = _Reader(film, size or SHORT_SIDE, context)
    frames = reader(film, range(first, total))
    # Source frames at about the film's frame rate, or all source frames if the source has a lower rate
    step = 1 if source.is_pictures or film.is_pictures else max(1, round(source.index.rate / film.index.rate))
    numbers = range(0, source.index.num_frames, step)
    sampled = [numbers[i] for i in segment_centres(len(numbers), min(dreams.MAX_TRAINING_FRAMES, len(numbers)))]
    wanted = sorted({*sampled, *numbers[: dreams.ROLLOUT_FRAMES]})
    training = dict(zip(wanted, reader(source, wanted), strict=True))
    training_frames = [training[i] for i in sampled]
    scores = dreams.score_rollout(
        frames, training_frames, dreams.ping_pong([training[i] for i in numbers[: dreams.ROLLOUT_FRAMES]], len(frames))
    )
    table = {"path": str(film.path), **dict.fromkeys(COMMON_KEYS), **scores}
    table["frames"] = total
    table |= {name: None for name, least in MIN_FRAMES.items() if len(frames) < least}
    if start is not None:
        table |= _horizons(film, source, start, reader)
    if result is not None:
        near = dreams.nearest(frames, training_frames)
        values = [min(psnr(a, training_frames[k]), PSNR_CAP) for a, k in zip(frames, near, strict=True)]
        series = {"frame": list(range(first, total)), "nn": [round(v, 3) for v in values]}
        write_scores(result, table, series, lambda: _draw(film, frames, [training_frames[k] for k in near], first))
    return table


class _Reader:
    """Reads frames of clips, (H, W, 3) uint8, scaled and centre-cropped to the size of the comparison.

    That is the size of the film (the rollout to score), or with a short side of ``size`` if the film is larger.
    """

    def __init__(self, film: Clip, size: int, context: Context) -> None:
        self._size = Size(short=size).of(film.index.width, film.index.height)
        self._background, self._context = film.default_background, context

    def __call__(self, clip: Clip, numbers: Sequence[int]) -> list[np.ndarray]:
        """Return the frames of a clip with these numbers."""
        context, found = self._context, []
        whole, rows, columns = cover_crop(clip.index.width, clip.index.height, self._size)
        if max(whole[0] / self._size[0], whole[1] / self._size[1]) > MAX_ASPECT_RATIO:
            context.warn_once(f"{clip.name} has another aspect ratio than the dream: it is cropped", clip.path)
        form = FrameFormat(Size(exact=whole), background=self._background)
        with closing(clip.cursor(form, context.decode_threads)) as cursor:
            for done, number in enumerate(numbers, start=1):
                found.append(resize(cursor(number).rgb, *whole)[rows, columns])
                context.stop.check()
                context.report(Progress(f"reading {clip.name}", done, len(numbers)))
        return found


def _times(clip: Clip) -> list[Fraction]:
    """Return the times of all frames of a clip, in seconds relative to the first frame."""
    index = clip.index
    return [(pts - index.pts[0]) * index.time_base for pts in index.pts]


def _horizons(film: Clip, source: Clip, start: Time, reader: _Reader) -> Table:
    """Return the PSNR in dB at each of ``dreams.HORIZONS``, of the film and of a baseline that repeats one frame.

    ``start``: the time in the source at which the film begins. Film and source are aligned by time.
    """
    begin = source.frame_at(start)
    reach = min(film.index.num_frames, max(dreams.HORIZONS))
    if source.is_pictures or film.is_pictures:
        numbers = list(range(begin, min(begin + reach, source.index.num_frames)))
    else:
        times = _times(source)
        times_s = [times[begin] + time for time in _times(film)[:reach]]
        ends = times[-1] + source.index.last_duration * source.index.time_base
        numbers = [max(begin, _nearest(times, time)) for time in times_s if time < ends]
    truth, dreamt = reader(source, [begin - 1, *numbers]), reader(film, range(len(numbers)))
    both = {"horizons": dreams.horizons(dreamt, truth[1:]), "copy_last": dreams.copy_last(truth[0], truth[1:])}
    return {name: {str(h): round(v, 2) for h, v in found.items()} for name, found in both.items()}


def _nearest(times: Sequence[Fraction], time: Fraction) -> int:
    """Return the number of the frame nearest to a time; of two equally near frames the later one."""
    after = min(bisect_left(times, time), len(times) - 1)
    return after - 1 if after and time - times[after - 1] < times[after] - time else after


def _draw(film: Clip, frames: Sequence[np.ndarray], near: Sequence[np.ndarray], first: int) -> np.ndarray:
    """Draw frames of the film above ``near``, the most similar source frames: (H, W, 3) uint8.

    ``first`` is added to the positions of ``frames``, from 1 on, to label them with frame numbers.
    """
    numbers = [n for n in dreams.STRIP_FRAMES if n <= len(frames)]
    rows = [[pictures[n - 1] for n in numbers] for pictures in (frames, near)]
    notes = [[f"frame {first + n}" for n in numbers], ["the nearest of the source"] * len(numbers)]
    return ContactSheet(film.name, rows, cell_size(frames[0], CELL_SIDE_PX), notes=notes).draw()
