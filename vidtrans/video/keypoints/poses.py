"""Keypoints as the pictures of a clip, one for each frame; see ``picture_reader.PictureFiles`` for the interface."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.video.images.still import Still
from vidtrans.video.keypoints.drawing import draw_people
from vidtrans.video.keypoints.parsing import check_size, keypoint_files, read_keypoints
from vidtrans.video.keypoints.people import BodyPlace, fill_gaps, fit, follow, smooth_motion

POSE_GUIDE = "keypoints"  # the guide of the pairing ``pose``: this, #, and the text of a ``PoseView``
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_UNKNOWN_SIDE = 512  # pixels, of a picture of normalised keypoints whose size nothing says


@dataclass(frozen=True)
class PoseView:
    """How keypoints are drawn; as text, ``1280x720,score=0.3,gap=8,smooth=1.0,body=640_500_700_300_420``.

    ``size``: (width, height); None: of the file, or else of its points. ``score``: points below it are left out.
    ``gap``: how many frames a point may be missing and is interpolated. ``smooth``: σ in frames. ``body``: whose place
    and size people are brought to.
    """

    size: tuple[int, int] | None = None
    score: float = 0.3
    gap: int = 8
    smooth: float = 1.0
    body: BodyPlace | None = None

    @classmethod
    def parse(cls, text: str, path: Path) -> PoseView:
        """Parse a text. Raises MediaError, which names ``path``."""
        values: dict[str, object] = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            try:
                if size := _SIZE.fullmatch(part):
                    values["size"] = check_size(int(size[1]), int(size[2]))
                elif name == "body":
                    values[name] = BodyPlace(*(float(number) for number in value.split("_")))
                else:
                    values[name] = {"score": float, "gap": int, "smooth": float}[name](value)
            except (KeyError, ValueError, TypeError):
                remedy = f"write the size of its picture, as in {path.name}#1280x720"
                raise MediaError(str(path), f"'{part}' says nothing about keypoints", remedy) from None
        return cls(**values)  # type: ignore[arg-type]

    def __str__(self) -> str:
        size = "x".join(map(str, self.size or ()))
        own = (f"{f.name}={getattr(self, f.name):g}" for f in fields(self) if f.name in ("score", "gap", "smooth"))
        return ",".join(filter(None, (size, *own, f"body={self.body}" if self.body else "")))


class PoseFrames:
    """The drawn poses of a source of keypoints. Raises MediaError where it cannot be read.

    ``source_size``: the (width, height) of the picture that the keypoints were found in, where it is known.
    """

    is_timed = False

    def __init__(self, path: Path, view: PoseView, source_size: tuple[int, int] | None = None) -> None:
        self.path, self._view = path, view
        self._found = read_keypoints(path)
        self._source_size = source_size or self._found.size
        self._numbers = sorted(self._found.frames)
        files = keypoint_files(path)
        one_each = path.is_dir() and len(files) == len(self._numbers)
        self.names = (
            tuple(f.name for f in files) if one_each else tuple(f"{path.stem}_{n:06d}.png" for n in self._numbers)
        )

    def read(self, number: int) -> tuple[Still, float]:
        """Return a picture; it has no duration."""
        return Still(draw_people(self.people[:, number], self.size)), 0.0

    def close(self) -> None:
        """Do nothing: no file stays open."""

    @cached_property
    def size(self) -> tuple[int, int]:
        """The (width, height) of the pictures."""
        if size := self._view.size or self._source_size:
            return size
        if self._found.is_normalised:
            return (_UNKNOWN_SIDE, _UNKNOWN_SIDE)
        points = np.concatenate([person[:, :2] for people in self._found.frames.values() for person in people])
        width, height = (min(1 << 13, max(16, int(n) // 2 * 2 + 2)) for n in np.nanmax(points, axis=0))
        return (width, height)

    @cached_property
    def people(self) -> np.ndarray:
        """The people, (N, frames, POINTS, 3), in pixels of the drawn pictures."""
        own = self._tracks
        place = BodyPlace.of(own[0]) if self._view.body else None
        if place is not None and self._view.body is not None:
            return fit(own, place.rounded(), self._view.body)
        own[..., :2] *= self.size[1] / (self._source_size or self.size)[1]
        return own

    @cached_property
    def body(self) -> BodyPlace | None:
        """The place of the person that is seen longest, in pixels of the drawn pictures; None if unknown."""
        place = BodyPlace.of(self.people[0])
        return None if place is None else place.rounded()

    @property
    def _tracks(self) -> np.ndarray:
        """Return the people's tracks in pixels of the source, without what is uncertain, filled and smoothed."""
        view, found = self._view, self._found
        frames = []
        for number in self._numbers:
            people = [person.copy() for person in found.frames[number]]
            for person in people:
                person[person[:, 2] < view.score] = np.nan
                if found.is_normalised:
                    person[:, :2] *= self._source_size or self.size
            frames.append([person for person in people if not np.isnan(person[:, 0]).all()])
        if not any(frames):
            why = f"no point has a score of {view.score:g} or more"
            raise MediaError(str(self.path), why, "lower --set pairing.score")
        numbers = np.array(self._numbers)
        tracks = [smooth_motion(fill_gaps(track, numbers, view.gap), view.smooth) for track in follow(frames)]
        return np.stack(tracks)
