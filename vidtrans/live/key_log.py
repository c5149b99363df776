"""The log of a performance: what a hand did with a live dream, from which 'vidtrans dream --steer' renders it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vidtrans.core.files import write_bytes
from vidtrans.dreaming.predictors import NOISE
from vidtrans.dreaming.settings import DOES_NOTHING, NO_MOVE
from vidtrans.dreaming.steering import GOTO, LOG_SUFFIX, PLAYED_ON
from vidtrans.video.images.picture import write_picture


@dataclass
class KeyLog:
    """The controls of each frame of a dream of a model, written down where they change.

    ``model``: its path, or its name, and its digest. ``size``: (width, height) of the dream. ``seed``: the picture,
    (H, W, 3) uint8, that it began with; None: noise. ``options``: further ones of the command that renders it again.
    """

    model: tuple[str, str]
    size: tuple[int, int]
    seed: np.ndarray | None
    options: tuple[str, ...] = ()
    num_frames: int = 0
    is_driven: bool = False
    _entries: list[tuple[int, str]] = field(default_factory=list)

    def note(self, values: Mapping[str, float], goto: int, *, driven: bool) -> None:
        """Note the controls of the next frame, by name, and the shot that it walks to, 0 for none.

        ``driven``: a source was mixed in, which is not noted.
        """
        kept = [name for name in values if name in NO_MOVE or values[name] != DOES_NOTHING[name]]
        commands = "+".join([*(f"{name}={values[name]!r}" for name in kept), *([f"{GOTO} {goto}"] if goto else [])])
        if not self._entries or self._entries[-1][1] != commands:
            self._entries.append((self.num_frames, commands))
        self.num_frames += 1
        self.is_driven = self.is_driven or driven

    def command(self, path: Path) -> str:
        """Return the command that renders the log at ``path`` again."""
        seed = NOISE if self.seed is None else path.with_suffix(".png").name
        size = f"{self.size[0]}x{self.size[1]}"
        words = ["vidtrans", "dream", seed, "--model", self.model[0], "--steer", path.name, "--size", size]
        return shlex.join([*words, "--frames", str(self.num_frames), *self.options])

    def is_longer_than(self, other: KeyLog | None) -> bool:
        """Return whether this log is of another dream, or goes on after an earlier copy of it."""
        return other is None or self.seed is not other.seed or self.num_frames != other.num_frames

    def copy(self) -> KeyLog:
        """Return the log as it is now; another thread may go on with this one."""
        count = self.num_frames
        return replace(self, num_frames=count, _entries=[entry for entry in list(self._entries) if entry[0] < count])

    def write(self, video: Path) -> str:
        """Write the log, and the picture that the dream began with, beside a video; return what to tell about it."""
        path = video.with_suffix(LOG_SUFFIX)
        lines = [f"# {self.command(path)}", f"{PLAYED_ON}{' '.join(self.model)}"]
        if self.is_driven:
            lines.append("# a source was mixed in, which is not in this log: without it other pictures come")
        lines += [f"{frame}: {commands}" for frame, commands in self._entries]
        try:
            if self.seed is not None:
                write_picture(path.with_suffix(".png"), self.seed)
            write_bytes(path, ("\n".join(lines) + "\n").encode())
        except OSError as error:
            return f"what was done with the dream could not be written down: {error.strerror}"
        return f"what was done with the dream, from its start, is in {path}: {self.command(path)}"
