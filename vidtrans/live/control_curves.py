"""Curves of live controls: expressions of time, of the sound that is heard now, of the source and of files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.curves.curve import Curve, file_of, parse_curve
from vidtrans.curves.expressions import Signal
from vidtrans.curves.tracks import Track, read_data

LONGEST = 500  # characters
LARGEST_FILE = 4 << 20  # bytes of a file of values, which is read while others wait
TIMELINE = ("shot", "shot_t", "cut", "on_cut")  # names of a clip with an end
STILL = ("fade", "dream_fps")  # controls whose own time a curve would change


@dataclass(frozen=True)
class ControlCurve:
    """The curve of a control. ``text``: its expression. Values are kept from ``low`` to ``high``, ``whole``: rounded.

    Raises UsageError, in one line, for an expression that has no value in a live session.
    """

    name: str
    text: str
    low: float
    high: float
    whole: bool = False

    def __post_init__(self) -> None:
        """Check the expression and the files that it reads."""
        if len(self.text) > LONGEST:
            raise UsageError(self.name, f"its curve has more than {LONGEST} characters", "write it more simply")
        shown, curve = f"{self.name} '{self.text}'", self.curve
        if curve.moments:
            raise UsageError(shown, "a live session has no timeline for key frames", "use t, in seconds")
        names = {*curve.names, *(signal.source.name for signal in curve.signals)}
        if found := [name for name in TIMELINE if name in names]:
            raise UsageError(shown, f"a live source has no '{found[0]}'", "use t, a sound, motion or brightness")
        if "mask" in names:
            raise UsageError(shown, "a live source has no mask", "use t, a sound, motion or brightness")
        if curve.is_drawn:
            raise UsageError(shown, "it does not move", "set the slider, or use t, low, on_beat(0.2), motion")
        for file in {signal.source.file for signal in curve.signals} - {""}:
            FileTrack(file)

    @cached_property
    def curve(self) -> Curve:
        """The parsed expression. Raises UsageError."""
        return parse_curve(self.text, self.name)

    @property
    def signals(self) -> frozenset[Signal]:
        """The signals that it depends on."""
        return self.curve.signals

    def kept(self, value: float) -> float:
        """Return a value within the control's bounds."""
        found = max(self.low, min(self.high, value))
        return round(found) if self.whole else round(found, 5)


class FileTrack:
    """A column of a file of values, ``FILE[:COLUMN]``, below the folder in which the session began.

    Pages of other machines give the name, so no other folder is read. Raises UsageError.
    """

    def __init__(self, signal: str) -> None:
        name, column = file_of(signal)
        path, folder = Path(name), Path.cwd().resolve()
        if path.is_absolute() or not path.resolve().is_relative_to(folder):
            raise UsageError(name, "it is not in the folder of this session", f"copy it to {folder.name}/")
        if path.is_file() and path.stat().st_size > LARGEST_FILE:
            raise UsageError(name, f"it has more than {LARGEST_FILE >> 20} MB", "give a shorter one")
        data = read_data(path)
        self.in_frames = data.in_frames
        self.track: Track = data.track(column, lambda frames: frames)
