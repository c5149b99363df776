"""Choose the frames of a shot to paint: the key frames from which the other frames are reconstructed best.

Paint follows the motion like the source. Each choice of key frames is therefore tested on the source: its other frames
are blended from the key frames and compared with the real ones. ``Proposal`` writes the chosen frames of a clip to a
folder.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames, segment_centres
from vidtrans.core.costs import count as plural
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.settings import Size, Table
from vidtrans.flow.warping import warp
from vidtrans.metrics.picture_quality import psnr_of
from vidtrans.painting.composing import distance_weights, key_weight
from vidtrans.painting.maps import Guide, Step, track_both_ways
from vidtrans.session import Context
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import resize, write_picture
from vidtrans.video.io.encoder import picture_names
from vidtrans.video.plots import ContactSheet, cell_size

SHORT_SIDE = 135  # Short side of the frames on which choices of key frames are tested, in pixels
MIN_CANDIDATES, MIN_SAMPLES = 13, 25  # Minimum numbers of candidate key frames and of tested frames in a shot
REACH = 24  # Number of tested frames on either side to which a candidate key frame is warped
MAX_EXHAUSTIVE = 2  # Largest number of key frames for which all combinations are tried; more are added greedily
MAX_ROUNDS = 4  # Largest number of rounds that each exchange one key frame for a neighbouring candidate
SUFFIX = ".keyframes"  # Suffix of the folder into which the chosen frames are written
DEFAULT_COUNT = 2  # Least number of key frames if the user gives none
SHEET, CELL_WIDTH_PX, SHEET_COLUMNS = "sheet.png", 360, 4  # Name and layout of the contact sheet
BEST_DB = 60.0  # PSNR, in dB, that a perfect reconstruction gets in place of infinity


@dataclass(frozen=True)
class Choice:
    """The key frames chosen for a shot, in order, and the mean PSNR in dB of the other frames' reconstructions."""

    keys: tuple[int, ...]
    psnr: float


def sample_numbers(first: int, stop: int, count: int) -> list[int]:
    """Return the frame numbers in the shot [first, stop) on which sets of ``count`` key frames are tested."""
    return [first + n for n in segment_centres(stop - first, min(stop - first, max(MIN_SAMPLES, 4 * count)))]


class ShotChooser:
    """Searches for the best key frames of one shot.

    ``numbers`` and ``frames``: the sampled frames in order, at a small size, (H, W, 3) uint8 each. ``count``: the
    expected number of key frames; with more than six, there are more candidates.
    """

    def __init__(self, numbers: Sequence[int], frames: Sequence[np.ndarray], count: int = MAX_EXHAUSTIVE) -> None:
        self._numbers = list(numbers)
        self._guides = [Guide.of(frame) for frame in frames]
        places = min(len(numbers), max(MIN_CANDIDATES, 2 * count))
        self._candidates = segment_centres(len(numbers), places)
        self._choices: dict[int, Choice] = {}

    @property
    def candidates(self) -> list[int]:
        """Return the numbers of the frames that can be chosen as key frames."""
        return [self._numbers[place] for place in self._candidates]

    @property
    def max_count(self) -> int:
        """Return the largest number of key frames that can be chosen: the number of candidates."""
        return len(self._candidates)

    def best(self, count: int) -> Choice:
        """Return the best choice of ``count`` key frames, at most ``max_count``."""
        count = min(count, self.max_count)
        if count not in self._choices:
            self._choices[count] = self._search(count)
        return self._choices[count]

    def _search(self, count: int) -> Choice:
        """Return the best choice: by trying all, or for many key frames by extending the best smaller choice."""
        if count <= MAX_EXHAUSTIVE:
            return self._choice(max(itertools.combinations(self._candidates, count), key=self._psnr))
        before = [self._numbers.index(key) for key in self.best(count - 1).keys]
        keys = max((tuple(sorted([*before, new])) for new in self._candidates if new not in before), key=self._psnr)
        for _ in range(MAX_ROUNDS):
            better = max(self._exchanges(keys), key=self._psnr, default=keys)
            if self._psnr(better) <= self._psnr(keys):
                break
            keys = better
        return self._choice(keys)

    def _exchanges(self, keys: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Yield the choices with one key frame replaced by a neighbouring candidate, as indices of tested frames."""
        for at, key in enumerate(keys):
            place = self._candidates.index(key)
            for nearby in (place - 1, place + 1):
                if 0 <= nearby < len(self._candidates) and self._candidates[nearby] not in keys:
                    yield tuple(sorted((*keys[:at], self._candidates[nearby], *keys[at + 1 :])))

    def _choice(self, keys: tuple[int, ...]) -> Choice:
        """Return the choice of the key frames ``keys``, which are indices of tested frames."""
        return Choice(tuple(self._numbers[key] for key in keys), self._psnr(keys))

    def _psnr(self, keys: tuple[int, ...]) -> float:
        """Return the mean PSNR in dB of the tested frames except the key frames, which are given by index.

        A mean of squared errors would be dominated by a few frames that no choice improves.
        """
        found = [self._frame_psnr(at, keys) for at in range(len(self._guides)) if at not in keys]
        return float(np.mean(found)) if found else BEST_DB

    def _frame_psnr(self, at: int, keys: tuple[int, ...]) -> float:
        """Return the PSNR in dB of the tested frame at index ``at``, reconstructed from the key frames."""
        nearby = [key for key in keys if at in self._warped[key]] or [min(keys, key=lambda key: abs(key - at))]
        pictures, weights = [], []
        for key, share in zip(
            nearby, distance_weights(self._numbers[at], [self._numbers[key] for key in nearby]), strict=True
        ):
            picture, trust = self._warped[key].get(at) or (self._guides[key].rgb, np.float32(0))
            weights.append(key_weight(trust, share)[..., None])
            pictures.append(picture * weights[-1])
        blended = reduce(np.add, pictures) / reduce(np.add, weights)
        return min(BEST_DB, psnr_of(float(np.square(blended - self._guides[at].rgb).mean())))

    @cached_property
    def _warped(self) -> dict[int, dict[int, tuple[np.ndarray, np.ndarray]]]:
        """Return, by index, each candidate warped to each tested frame, (H, W, 3) uint8, with its trust (H, W)."""
        steps = [Step.between(*both) for both in itertools.pairwise(self._guides)]
        return {
            key: {
                at: (warp(self._guides[key].rgb, carried.flow, bicubic=True), carried.trust)
                for at, carried in track_both_ways(key, self._guides, steps, REACH)
            }
            for key in self._candidates
        }


def distribute_key_frames(choosers: Sequence[ShotChooser], lengths: Sequence[int], count: int) -> list[Choice]:
    """Distribute ``count`` key frames over shots of ``lengths`` frames: one each, then where the PSNR gains most.

    Fewer are returned if the shots have no more candidates.
    """
    found = [chooser.best(1) for chooser in choosers]
    while sum(len(choice.keys) for choice in found) < count:
        open_shots = [n for n, chooser in enumerate(choosers) if len(found[n].keys) < chooser.max_count]
        if not open_shots:
            break

        def gain(shot: int) -> float:
            """Return the gain in PSNR by one more key frame in a shot, summed over the shot's frames, in dB."""
            return (choosers[shot].best(len(found[shot].keys) + 1).psnr - found[shot].psnr) * lengths[shot]

        best_shot = max(open_shots, key=gain)
        found[best_shot] = choosers[best_shot].best(len(found[best_shot].keys) + 1)
    return found


def mean_psnr(choices: Sequence[Choice], lengths: Sequence[int]) -> float:
    """Return the mean PSNR in dB of a clip's frames reconstructed from the key frames of its shots.

    ``choices`` and ``lengths``: the key frames, and the number of frames, of each shot.
    """
    return sum(c.psnr * n for c, n in zip(choices, lengths, strict=True)) / sum(lengths)


def shots_and_count(clip: Clip, span: range, count: int | None) -> tuple[list[range], int]:
    """Return the shots in ``span``, and the number of key frames: ``count``, or one per shot and at least two.

    Raises UsageError if ``count`` is less than the number of shots, or more than the number of frames.
    """
    shots = clip.shots_in(span.start, span.stop)
    wanted = max(min(DEFAULT_COUNT, len(span)), len(shots)) if count is None else count
    if wanted < len(shots):
        why = f"{clip.name} has {len(shots)} shots, and each needs one"
        raise UsageError(
            f"--count {wanted}", why, f"give {len(shots)} or more, or choose a shorter section with --start and --end"
        )
    if wanted > len(span):
        raise UsageError(f"--count {wanted}", f"the section has {plural(len(span), 'frame')}", "give a smaller number")
    return shots, wanted


class Proposal:
    """The proposed key frames of a clip, ``count`` in total, which ``choosers`` choose, one for each of the ``shots``.

    ``chosen`` and ``psnr``: the key frames, and the mean PSNR in dB of the frames that are reconstructed from them.
    ``more`` and ``more_psnr``: the same with one more key frame.
    """

    def __init__(self, clip: Clip, shots: Sequence[range], choosers: Sequence[ShotChooser], count: int) -> None:
        self.clip, self.shots = clip, shots
        lengths = [len(shot) for shot in shots]
        both = [distribute_key_frames(choosers, lengths, n) for n in (count, count + 1)]
        self.chosen, self.more = ([key for choice in choices for key in choice.keys] for choices in both)
        self.psnr, self.more_psnr = (mean_psnr(choices, lengths) for choices in both)

    @classmethod
    def of(cls, clip: Clip, shots: Sequence[range], count: int, context: Context) -> Proposal:
        """Choose ``count`` key frames in total for the ``shots`` of a clip."""
        choosers = []
        for number, shot in enumerate(shots):
            context.report(Progress("trying key frames", number, len(shots)))
            numbers = sample_numbers(shot.start, shot.stop, count - len(shots) + 2)
            small = FrameFormat(Size(short=min(SHORT_SIDE, clip.index.width, clip.index.height)))
            frames = [frame.rgb for frame in read_clip_frames(clip, numbers, small, context)]
            choosers.append(ShotChooser(numbers, frames, count - len(shots) + 2))
            choosers[-1].best(1)
        return cls(clip, shots, choosers, count)

    def write(self, folder: Path, context: Context) -> None:
        """Write the chosen frames at full size, named by number or like the clip's pictures, and a contact sheet."""
        folder.mkdir()
        cells, notes = [], []
        index = self.clip.index
        names = [f"{Path(name).stem}.png" for name in index.names] or picture_names((), range(index.num_frames))
        if len(set(names)) < len(names):  # Names that differ only in their suffix, such as 1.png and 1.jpg
            names = [f"frame {number:06d}.png" for number in range(index.num_frames)]
        for frame in read_clip_frames(self.clip, self.chosen, FrameFormat(deep=index.findings.depth > 8), context):
            write_picture(folder / names[frame.index], frame.rgb)
            cells.append(resize(to_uint8(frame.rgb), *cell_size(frame.rgb, CELL_WIDTH_PX)))
            notes.append(f"frame {frame.index}, {self._seconds(frame.index):.2f} s")
        rows = [cells[n : n + SHEET_COLUMNS] for n in range(0, len(cells), SHEET_COLUMNS)]
        lines = [notes[n : n + SHEET_COLUMNS] for n in range(0, len(notes), SHEET_COLUMNS)]
        title = f"{self.clip.name}: paint over these frames"
        write_picture(folder / SHEET, ContactSheet(title, rows, cell_size(cells[0], CELL_WIDTH_PX), (), lines).draw())

    def table(self) -> Table:
        """Return the proposal as the result table of the command ``keyframes``."""
        more = self.more if len(self.more) > len(self.chosen) else []
        return {
            "frames": len(self.chosen),
            "keyframes": self.chosen,
            "keyframes_s": [round(self._seconds(number), 3) for number in self.chosen],
            "psnr": round(self.psnr, 2),
            "one_more": more,
            "one_more_psnr": round(self.more_psnr, 2) if more else None,
            "shots": len(self.shots),
        }

    def _seconds(self, number: int) -> float:
        """Return the time of a frame in seconds from the first frame."""
        index = self.clip.index
        return float((index.pts[number] - index.pts[0]) * index.time_base)
