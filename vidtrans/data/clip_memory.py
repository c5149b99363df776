"""Frames of its clip that a next-frame model keeps, and which of them are most like two frames of a film."""

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
from vidtrans.networks.frame_memory import packed, unpacked
from vidtrans.pairing.base import Pairing
from vidtrans.video.images.picture import picture_size, read_picture, resize

KEPT_PIXELS = 14_000_000  # The pixels of all kept frames together: 300 of 288x160.
PIECE = 30  # The frames in a row that are kept of a clip of which not all are.
LOW_AREA = 20 * 36  # The pixels of a frame when frames are compared, and pulled towards those that are kept.
LEFT_OUT = 15  # The frames on either side of its own place in which a training pair finds no other.
ALTERNATIVES = 4  # The number of the most alike places, without those left out, of which one is drawn.


def kept_size(width: int, height: int, area: float) -> tuple[int, int]:
    """Return (height, width) of a frame's copy of about ``area`` pixels, and no larger than the frame."""
    if area >= width * height:
        return height, width
    tall = max(8, round((area * height / width) ** 0.5))
    return tall, max(8, round(area / tall))


@dataclass(frozen=True)
class ClipMemory:
    """Kept frames, (N, h, w, 3) uint8, and the lengths of the ``runs`` of frames that follow each other.

    ``step``: the number of frames that a prediction advances. A position on the timeline of all N frames, which runs
    there and back, is a phase in [0, 1). ``shots``: the number of each run's shot, from 1; empty: all are of one.
    ``files``: those of the dataset, in training. ``actions``: the names of what happens, with the numbers of the kept
    frames at which it does.
    """

    pictures: np.ndarray
    runs: tuple[int, ...]
    step: int = 1
    shots: tuple[int, ...] = ()
    files: tuple[Path, ...] = ()
    actions: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @cached_property
    def lows(self) -> np.ndarray:
        """Return the frames at the size at which they are compared, (N, h', w', 3) float32 in [-1, 1]."""
        height, width = kept_size(self.pictures.shape[2], self.pictures.shape[1], LOW_AREA)
        return np.stack([low(picture, (height, width)) for picture in self.pictures])

    @cached_property
    def places(self) -> np.ndarray:
        """Return the numbers of frames with a frame ``step`` before and one ``step`` after them in their run."""
        spans = [range(end - length + self.step, end - self.step) for end, length in self._spans]
        return np.array([place for span in spans for place in span], np.int64)

    @cached_property
    def rooms(self) -> np.ndarray:
        """Return how many predictions follow each of ``places`` until its run ends."""
        ends = [end for end, length in self._spans for _ in range(end - length + self.step, end - self.step)]
        return (np.array(ends, np.int64) - 1 - self.places) // self.step

    def phase(self, place: float) -> float:
        """Return the position of frame number ``place`` on the timeline."""
        return place / max(1, 2 * (len(self.pictures) - 1))

    @cached_property
    def goals(self) -> dict[int | str, frozenset[int]]:
        """Return the places of each shot, by its number, and of each action that has any."""
        places = set(self.places.tolist())
        found: dict[int | str, set[int]] = {}
        for (end, length), shot in zip(self._spans, self.shots or (1,) * len(self.runs), strict=True):
            found.setdefault(shot, set()).update(places.intersection(range(end - length, end)))
        named: dict[int | str, set[int]] = {name: places & numbers for name, numbers in self.actions.items()}
        return {goal: frozenset(there) for goal, there in (found | named).items() if there}

    def follows(self, place: int) -> bool:
        """Return whether a frame ``step`` after ``place`` is kept that follows it."""
        return any(end - length <= place < end - self.step for end, length in self._spans)

    @property
    def _spans(self) -> list[tuple[int, int]]:
        return list(zip(np.cumsum(self.runs).tolist(), self.runs, strict=True))

    def distances(self, before: np.ndarray, latest: np.ndarray, covered: np.ndarray | None = None) -> np.ndarray:
        """Return the mean squared difference of two frames, as ``low`` makes them, from those at each place.

        ``covered`` (h', w'): where they are known, as 1; if nowhere, all differences are 0.
        """
        flat, total = self.lows.reshape(len(self.lows), -1), np.zeros(len(self.places))
        before, latest, squares, count = before.ravel(), latest.ravel(), self._squares, float(flat.shape[1])
        if covered is not None:
            known = np.repeat(covered.ravel(), 3)
            before, latest, squares = before * known, latest * known, self._square_pixels @ known
            count = max(0.5, float(known.sum()))
        for frame, at in ((before, self.places - self.step), (latest, self.places)):
            total += np.maximum(squares - 2 * flat @ frame + frame @ frame, 0)[at]
        return total / (2 * count)

    @cached_property
    def _square_pixels(self) -> np.ndarray:
        return np.square(self.lows).reshape(len(self.lows), -1)

    @cached_property
    def _squares(self) -> np.ndarray:
        found: np.ndarray = np.square(self.lows).sum((1, 2, 3))
        return found

    def pointed(self, pairs: Sequence[Pair], own: dict[Path, int]) -> list[Pair]:
        """Return the pairs with the positions of the frames that follow the frames most like theirs.

        ``own``: the numbers of the kept frames by file. The first position is the most alike; the others leave out
        the neighbourhood of the pair's own frame.
        """
        return [replace(pair, nearest=self._nearest(pair, own)) for pair in pairs]

    def _nearest(self, pair: Pair, own: dict[Path, int]) -> tuple[float, ...]:
        size = self.lows.shape[1:3]
        frames = [low(read_picture(path), size) for path in pair.inputs[-2:]]
        distances = self.distances(frames[0], frames[-1])
        best = int(self.places[distances.argmin()])
        if (at := own.get(pair.inputs[-1])) is not None:
            distances = np.where(np.abs(self.places - at) <= LEFT_OUT, np.inf, distances)
        others = [int(self.places[k]) for k in distances.argsort()[:ALTERNATIVES] if np.isfinite(distances[k])]
        return tuple(self.phase(place + self.step) for place in (best, *others))


def low(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture, (H, W, 3) uint8 or float32 in [-1, 1], at (height, width) as float32 in [-1, 1]."""
    signed = picture if picture.dtype == np.float32 else picture.astype(np.float32) / np.float32(127.5) - 1
    return np.asarray(cv2.resize(signed, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.float32)


@dataclass(frozen=True)
class MemoryPlan:
    """The frames of a dataset that a model keeps: their ``files``, ``size`` (height, width) and ``step``.

    ``runs`` and ``shots``: see ``ClipMemory``.
    """

    files: list[Path]
    runs: tuple[int, ...]
    shots: tuple[int, ...]
    size: tuple[int, int]
    step: int

    @classmethod
    def of(cls, pairs: Sequence[Pair], count: int, pairing: Pairing, size: tuple[int, int] | None) -> Self:
        """Choose at most ``count`` frames of the training ``pairs``: along a clock's timeline, or in runs.

        Raises UsageError if no run is long enough to be pointed to.
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
        return cls(files, runs, shots, kept_size(width, height, KEPT_PIXELS / len(files)), pairing.stride)

    @cached_property
    def memory(self) -> ClipMemory:
        """Return the frames, as the model file will hold them. Raises MediaError."""
        return ClipMemory(unpacked(*self.packed, self.size), self.runs, self.step, self.shots, tuple(self.files))

    @cached_property
    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the frames in the form of ``FrameMemory``. Raises MediaError."""
        height, width = self.size
        return packed(np.stack([resize(read_picture(file), width, height) for file in self.files]))

    def pointed(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return the pairs with the positions that a pointer may tell."""
        return self.memory.pointed(pairs, {path: number for number, path in enumerate(self.files)})


def clock_frames(pairs: Sequence[Pair], count: int) -> list[Path]:
    """Return the files of at most ``count`` frames of a clock's shot, evenly along it, from its first to its last."""
    forwards = sorted((pair for pair in pairs if (pair.phase or 0) <= 0.5), key=lambda pair: pair.place)
    files = [pair.target for pair in forwards]
    chosen = np.rint(np.linspace(0, len(files) - 1, min(count, len(files)))).astype(int)
    return [files[number] for number in chosen]


def runs_of_frames(pairs: Sequence[Pair], count: int, step: int) -> tuple[list[Path], tuple[int, ...], tuple[int, ...]]:
    """Return the files of at most ``count`` frames, and length and shot of each run of frames in a row.

    ``step``: frames from one to the next of a pair. Of more frames, pieces of PIECE frames are kept, evenly along the
    clip.
    """
    numbered = {
        (pair.shot, pair.place - step * back): file
        for pair in pairs
        for back, file in enumerate(reversed((*pair.inputs, pair.target)))
    }
    ordered = sorted(numbered.items())
    pieces: list[tuple[int, list[Path]]] = []
    shot_of = {file: shot for (shot, _), file in ordered}
    by_run = groupby(enumerate(ordered), key=lambda item: (item[1][0][0], item[1][0][1] - item[0]))
    for number, (_, group) in enumerate(by_run):
        files = [file for _, (_, file) in group]
        pieces += [(number, files[at : at + PIECE]) for at in range(0, len(files), PIECE)]
    kept = _evenly_kept(pieces, count)
    groups = list(_joined(kept, pieces))
    runs = [sum(len(pieces[k][1]) for k in group) for group in groups]
    known = sorted({shot for (shot, _), _ in ordered})
    shots = [known.index(shot_of[pieces[group[0]][1][0]]) + 1 for group in groups]
    return [file for k in kept for file in pieces[k][1]], tuple(runs), tuple(shots)


def _evenly_kept(pieces: Sequence[tuple[int, list[Path]]], count: int) -> list[int]:
    total = sum(len(files) for _, files in pieces)
    if total <= count:
        return list(range(len(pieces)))
    wanted = max(1, count // PIECE)
    return sorted({int(k) for k in np.rint(np.linspace(0, len(pieces) - 1, min(wanted, len(pieces))))})


def _joined(kept: Sequence[int], pieces: Sequence[tuple[int, list[Path]]]) -> Iterator[list[int]]:
    """Yield groups of pieces that follow each other in one run."""
    group: list[int] = []
    for k in kept:
        if group and (k != group[-1] + 1 or pieces[k][0] != pieces[group[-1]][0]):
            yield group
            group = []
        group.append(k)
    if group:
        yield group
