"""A film of the frames around a painted one, with the paint carried along their motion."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vidtrans.core.files import digest_of, write_bytes
from vidtrans.studio.media_readers import Media

MOST_FRAMES = 16  # on each side of the painted frame, as a preview is to come within seconds
SHORT = 270  # pixels of the film's short side, as the time goes with the pixels
RATE = 25.0  # frames a second of a film that is made of pictures


def motion_range(frame: int, painted: Sequence[int], shots: Sequence[int], num_frames: int) -> tuple[int, int]:
    """Return the frames [first, stop) around a painted one: between its painted neighbours, within its shot.

    ``painted``: numbers of painted frames. ``shots``: first frames of the shots.
    """
    first = max([0, *(start for start in shots if start <= frame), frame - MOST_FRAMES])
    stop = min([num_frames, *(start for start in shots if start > frame), frame + MOST_FRAMES + 1])
    before = [number for number in painted if first <= number < frame]
    after = [number for number in painted if frame < number < stop]
    return max([first, *before]), min([stop, *(number + 1 for number in after)])


@dataclass(frozen=True)
class MotionFilm:
    """The film of the frames [first, stop) of a clip. ``painted``: files of painted frames, by frame.

    It is kept in ``folder``, as long as neither the clip nor the painted frames change.
    """

    folder: Path
    clip: Path
    painted: Mapping[int, Path]
    first: int
    stop: int

    @cached_property
    def _frames(self) -> Path:
        state = self.clip.stat()
        mark = digest_of([str(self.clip), state.st_mtime_ns, state.st_size, self.first, self.stop])
        return self.folder / f"{mark[:24]}frames"

    @cached_property
    def path(self) -> Path:
        """Return the file of the film, which need not exist. Raises OSError."""
        states = [[number, path.stat().st_mtime_ns, path.stat().st_size] for number, path in self._inside()]
        return self.folder / f"{digest_of([self._frames.name, states])[:24]}.mp4"

    def _inside(self) -> list[tuple[int, Path]]:
        return [(n, self.painted[n]) for n in sorted(self.painted) if self.first <= n < self.stop]

    def prepare(self, media: Media) -> list[str]:
        """Write small copies of the frames; return the words of the command. Raises MediaError, OSError."""
        self._frames.mkdir(parents=True, exist_ok=True)
        for number in range(self.first, self.stop):
            if not (file := self._frames / f"{number:06d}.png").is_file():
                write_bytes(file, media.frame(self.clip, number, SHORT, "png"))
        keys = self.path.with_suffix(".keys")
        keys.mkdir(exist_ok=True)
        for number, path in self._inside():
            shutil.copyfile(path, keys / f"{number:06d}.png")
        words = ["propagate", str(self._frames), "--keyframes", str(keys), "--minutes", "0"]
        return [*words, "-o", str(self.path), "--overwrite"]
