"""The clip memory of a next-frame model: stored frames of its clip, and a search for the most similar frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.data.dataset import Pair
from vidtrans.networks.frame_memory import pack_pictures, unpack_pictures
from vidtrans.pairing.base import Pairing
from vidtrans.video.images.picture import picture_size, read_picture, resize

MAX_STORED_PIXELS = 14_000_000  # Maximum number of pixels of all stored frames together: 300 frames of 288x160.
SEGMENT_FRAMES = 30  # Number of consecutive frames per segment of a clip that is too long to be stored completely.
THUMBNAIL_PIXELS = 20 * 36  # Number of pixels of a frame's thumbnail, for comparisons and for drift correction.
EXCLUDED_FRAMES = 15  # Number of frames on either side of a pair's own frame that are excluded from the search.
NUM_ALTERNATIVES = 4  # Number of the most similar frames, besides the excluded ones, from which training draws one.


def stored_size(width: int, height: int, max_pixels: float) -> tuple[int, int]:
    """Return the (height, width) of a stored frame of about ``max_pixels`` pixels, at most the original size."""
    if max_pixels >= width * height:
        return height, width
    stored_height = max(8, round((max_pixels * height / width) ** 0.5))
    return stored_height, max(8, round(max_pixels / stored_height))


@dataclass(frozen=True)
class ClipMemory:
    """Stored frames, (N, h, w, 3) uint8, with the lengths of the ``runs``, which are spans of consecutive frames.

    ``step``: the number of frames that a prediction advances. A position on the timeline of all N frames, forwards and
    back, is a phase in [0, 1). ``shots``: the number of each run's shot, from 1; empty: all runs are of one shot.
    ``files``: the frames' files in the dataset, during training. ``actions``: the numbers of the frames that show an
    action, by the action's name.
    """

    pictures: np.ndarray
    runs: tuple[int, ...]
    step: int = 1
    shots: tuple[int, ...] = ()
    files: tuple[Path, ...] = ()
    actions: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @cached_property
    def lows(self) -> np.ndarray:
        """Return thumbnails of the stored frames for comparisons, (N, h', w', 3) float32 in [−1, 1]."""
        height, width = stored_size(self.pictures.shape[2], self.pictures.shape[1], THUMBNAIL_PIXELS)
        return np.stack([to_thumbnail(picture, (height, width)) for picture in self.pictures])

    @cached_property
    def places(self) -> np.ndarray:
        """Return the numbers, (P,) int64, of frames whose run also has the frames ``step`` before and after them."""
        spans = [range(end - length + self.step, end - self.step) for end, length in self._spans]
        return np.array([place for span in spans for place in span], np.int64)

    @cached_property
    def rooms(self) -> np.ndarray:
        """Return how many predictions fit between each frame of ``places`` and the end of its run, (P,) int64."""
        ends = [end for end, length in self._spans for _ in range(end - length + self.step, end - self.step)]
        return (np.array(ends, np.int64) - 1 - self.places) // self.step

    def phase(self, place: float) -> float:
        """Return the phase of frame number ``place``: from 0 for the first stored frame to 0.5 for the last one."""
        return place / max(1, 2 * (len(self.pictures) - 1))

    @cached_property
    def goals(self) -> dict[int | str, frozenset[int]]:
        """Return, by shot number and by action name, the frames of ``places`` that show this shot or this action."""
        places = set(self.places.tolist())
        by_shot: dict[int | str, set[int]] = {}
        for (end, length), shot in zip(self._spans, self.shots or (1,) * len(self.runs), strict=True):
            by_shot.setdefault(shot, set()).update(places.intersection(range(end - length, end)))
        by_action: dict[int | str, set[int]] = {name: places & numbers for name, numbers in self.actions.items()}
        return {goal: frozenset(there) for goal, there in (by_shot | by_action).items() if there}

    def follows(self, place: int) -> bool:
        """Return whether the frame ``step`` after frame number ``place`` is stored too."""
        return any(end - length <= place < end - self.step for end, length in self._spans)

    @property
    def _spans(self) -> list[tuple[int, int]]:
        """Return (end, length) of each run: the number of the frame after the run, and the run's number of frames."""
        return list(zip(np.cumsum(self.runs).tolist(), self.runs, strict=True))

    def distances(self, before: np.ndarray, latest: np.ndarray, covered: np.ndarray | None = None) -> np.ndarray:
        """Return the mean squared differences between two given frames and the stored frames at each of ``places``.

        Args:
            before: The earlier of two consecutive frames, a thumbnail as from ``to_thumbnail``.
            latest: The later frame, in the same format.
            covered: (h', w'): 1 where the two frames are known, else 0; None: known everywhere. All 0 gives 0.
        """
        flat, total = self.lows.reshape(len(self.lows), -1), np.zeros(len(self.places))
        before, latest, squares, count = before.ravel(), latest.ravel(), self._squared_norms, float(flat.shape[1])
        if covered is not None:
            known = np.repeat(covered.ravel(), 3)
            before, latest, squares = before * known, latest * known, self._squared_pixels @ known
            count = max(0.5, float(known.sum()))
        for frame, numbers in ((before, self.places - self.step), (latest, self.places)):
            total += np.maximum(squares - 2 * flat @ frame + frame @ frame, 0)[numbers]
        return total / (2 * count)

    @cached_property
    def _squared_pixels(self) -> np.ndarray:
        """Return the squared pixels of the thumbnails, (N, h'·w'·3)."""
        return np.square(self.lows).reshape(len(self.lows), -1)

    @cached_property
    def _squared_norms(self) -> np.ndarray:
        """Return the sum of the squared pixels of each thumbnail, (N,)."""
        norms: np.ndarray = np.square(self.lows).sum((1, 2, 3))
        return norms

    def pointed(self, pairs: Sequence[Pair], numbers: dict[Path, int]) -> list[Pair]:
        """Return copies of pairs with ``nearest``: the phases of the frames after the most similar stored frames.

        ``numbers``: the numbers of the stored frames by file. The first phase is that of the most similar frame; the
        others exclude the neighbourhood of the pair's own frame.
        """
        return [replace(pair, nearest=self._nearest(pair, numbers)) for pair in pairs]

    def _nearest(self, pair: Pair, numbers: dict[Path, int]) -> tuple[float, ...]:
        """Return the phases ``nearest`` of one pair, see ``pointed``."""
        size = self.lows.shape[1:3]
        frames = [to_thumbnail(read_picture(path), size) for path in pair.inputs[-2:]]
        distances = self.distances(frames[0], frames[-1])
        best = int(self.places[distances.argmin()])
        if (number := numbers.get(pair.inputs[-1])) is not None:
            distances = np.where(np.abs(self.places - number) <= EXCLUDED_FRAMES, np.inf, distances)
        others = [int(self.places[k]) for k in distances.argsort()[:NUM_ALTERNATIVES] if np.isfinite(distances[k])]
        return tuple(self.phase(place + self.step) for place in (best, *others))


def to_thumbnail(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the thumbnail of a picture, (H, W, 3) uint8 or float32 in [−1, 1], as float32 in [−1, 1].

    ``size``: the thumbnail's (height, width).
    """
    signed = picture if picture.dtype == np.float32 else picture.astype(np.float32) / np.float32(127.5) - 1
    return np.asarray(cv2.resize(signed, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.float32)


@dataclass(frozen=True)
class MemoryPlan:
    """The frames of a dataset that a model will store: their ``files``, and ``size``, the stored (height, width).

    ``runs``, ``shots`` and ``step``: see ``ClipMemory``.
    """

    files: list[Path]
    runs: tuple[int, ...]
    shots: tuple[int, ...]
    size: tuple[int, int]
    step: int

    @classmethod
    def of(cls, pairs: Sequence[Pair], count: int, pairing: Pairing, size: tuple[int, int] | None) -> Self:
        """Choose at most ``count`` frames of the training ``pairs`` to store in the model.

        For a pairing with a clock (the position on a cyclic timeline) they are evenly spaced, else in runs of
        consecutive frames. ``size``: (width, height) of pictures; None: that of the first file. Raises UsageError if no
        run is long enough for predictions.
        """
        if pairing.has_clock:
            files = clock_frames(pairs, count)
            runs: tuple[int, ...] = (len(files),)
            shots: tuple[int, ...] = (1,)
        else:
            files, runs, shots = runs_of_frames(pairs, count, pairing.stride)
            if max(runs) <= 2 * pairing.stride:
                why = f"no shot has {2 * pairing.stride + 1} frames in a row that the model can keep"
                raise UsageError("pairing.position=nearest", why, "make the dataset with --set pairing.position=none")
        width, height = size or picture_size(files[0])
        return cls(files, runs, shots, stored_size(width, height, MAX_STORED_PIXELS / len(files)), pairing.stride)

    @cached_property
    def memory(self) -> ClipMemory:
        """Read the frames, as the model file will contain them. Raises MediaError."""
        return ClipMemory(unpack_pictures(*self.packed, self.size), self.runs, self.step, self.shots, tuple(self.files))

    @cached_property
    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """Read the frames, and return them in the storage format of ``FrameMemory``. Raises MediaError."""
        height, width = self.size
        return pack_pictures(np.stack([resize(read_picture(file), width, height) for file in self.files]))

    def pointed(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return copies of pairs with ``nearest``, the phases of similar stored frames, see ``ClipMemory.pointed``."""
        return self.memory.pointed(pairs, {path: number for number, path in enumerate(self.files)})


def clock_frames(pairs: Sequence[Pair], count: int) -> list[Path]:
    """Return the files of at most ``count`` evenly spaced frames of the shot of a clock (a cyclic timeline)."""
    forwards = sorted((pair for pair in pairs if (pair.phase or 0) <= 0.5), key=lambda pair: pair.place)
    files = [pair.target for pair in forwards]
    chosen = np.rint(np.linspace(0, len(files) - 1, min(count, len(files)))).astype(int)
    return [files[number] for number in chosen]


def runs_of_frames(pairs: Sequence[Pair], count: int, step: int) -> tuple[list[Path], tuple[int, ...], tuple[int, ...]]:
    """Return the files of at most ``count`` frames, and the length and the shot of each run of consecutive frames.

    ``step``: the number of frames between two consecutive frames of a pair. Of a longer clip, evenly spaced segments of
    ``SEGMENT_FRAMES`` frames are chosen.
    """
    numbered = {
        (pair.shot, pair.place - step * back): file
        for pair in pairs
        for back, file in enumerate(reversed((*pair.inputs, pair.target)))
    }
    ordered = sorted(numbered.items())
    segments: list[tuple[int, list[Path]]] = []
    shot_of = {file: shot for (shot, _), file in ordered}
    by_run = groupby(enumerate(ordered), key=lambda item: (item[1][0][0], item[1][0][1] - item[0]))
    for number, (_, group) in enumerate(by_run):
        files = [file for _, (_, file) in group]
        segments += [(number, files[at : at + SEGMENT_FRAMES]) for at in range(0, len(files), SEGMENT_FRAMES)]
    chosen = _choose_segments(segments, count)
    groups = list(_join_segments(chosen, segments))
    runs = [sum(len(segments[k][1]) for k in group) for group in groups]
    all_shots = sorted({shot for (shot, _), _ in ordered})
    shots = [all_shots.index(shot_of[segments[group[0]][1][0]]) + 1 for group in groups]
    return [file for k in chosen for file in segments[k][1]], tuple(runs), tuple(shots)


def _choose_segments(segments: Sequence[tuple[int, list[Path]]], count: int) -> list[int]:
    """Return the indices of evenly spaced segments that have about ``count`` frames in total."""
    total = sum(len(files) for _, files in segments)
    if total <= count:
        return list(range(len(segments)))
    num_segments = max(1, count // SEGMENT_FRAMES)
    return sorted({int(k) for k in np.rint(np.linspace(0, len(segments) - 1, min(num_segments, len(segments))))})


def _join_segments(chosen: Sequence[int], segments: Sequence[tuple[int, list[Path]]]) -> Iterator[list[int]]:
    """Yield groups of chosen segment numbers that are consecutive segments of one run."""
    group: list[int] = []
    for k in chosen:
        if group and (k != group[-1] + 1 or segments[k][0] != segments[group[-1]][0]):
            yield group
            group = []
        group.append(k)
    if group:
        yield group
