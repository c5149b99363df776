"""The names of expressions: time, and signals of the sound and of the picture; and the calls that give signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PI = "pi"
TIME = {
    "t": "seconds from the first frame",
    "frame": "the frame's number, from 0",
    "shot": "the shot's number, from 0",
    "shot_t": "seconds since the shot began",
    "cut": "seconds to the nearest cut",
}
SOUND = {
    "low": "loudness below 250 Hz",
    "mid": "loudness from 250 to 2000 Hz",
    "high": "loudness above 2000 Hz",
    "loudness": "loudness of the whole sound",
    "onset": "how much begins to sound",
    "beat": "beats since the first one, with the share of the next",
    "bar": "bars of four beats, likewise",
}
PICTURE = {
    "motion": "how much moves",
    "brightness": "mean brightness",
    "mask": "share of the picture that the mask covers",
}
NAMES = {**TIME, PI: "3.14159…", **SOUND, **PICTURE}
COUNTED = ("beat", "bar")  # signals that count, and are not from 0 to 1


@dataclass(frozen=True)
class SignalCall:
    """A function of an expression that gives a signal. ``takes``: whether its first argument is a signal.

    ``numbers``: its other arguments by name, with lowest, highest and default value; a default of None: it is required.
    """

    help: str
    takes: bool
    numbers: Mapping[str, tuple[float, float, float | None]]


SECONDS = (0.001, 600.0)
CALLS = {
    "band": SignalCall("loudness from LOW to HIGH Hz", False, {"low": (0, 11025, None), "high": (1, 11025, None)}),
    "on_beat": SignalCall("1 on each beat, then falling to a third in DECAY s", False, {"decay": (*SECONDS, 0.2)}),
    "on_onset": SignalCall("the same, on each beginning of a sound", False, {"decay": (*SECONDS, 0.2)}),
    "on_cut": SignalCall("the same, on each cut", False, {"decay": (*SECONDS, 0.2)}),
    "smooth": SignalCall("a signal averaged over about S seconds, before and after", True, {"s": (*SECONDS, None)}),
    "follow": SignalCall("a signal that rises at once, then falls to a third in S s", True, {"s": (*SECONDS, None)}),
}
HEARD = {*SOUND, "band", "on_beat", "on_onset"}
SEEN = {*PICTURE}


@dataclass(frozen=True)
class Signal:
    """A signal of an expression: a name of SOUND or PICTURE, a call of CALLS, or ``file`` with a FILE[:COLUMN].

    ``numbers``: the numbers of a call. ``inner``: the signal that a call takes.
    """

    name: str
    numbers: tuple[float, ...] = ()
    inner: Signal | None = None
    file: str = ""

    def __str__(self) -> str:
        if self.file:
            return f"'{self.file}'"
        if self.name not in CALLS:
            return self.name
        given = [str(self.inner)] if self.inner else []
        return f"{self.name}({','.join([*given, *map(repr, self.numbers)])})"

    @property
    def source(self) -> Signal:
        """Return the signal at the root of calls that take signals."""
        return self.inner.source if self.inner else self

    @property
    def is_heard(self) -> bool:
        """Return whether it comes from a sound."""
        return self.source.name in HEARD

    @property
    def is_seen(self) -> bool:
        """Return whether it comes from the clip's pictures or from a mask."""
        return self.source.name in SEEN


def form(call: str) -> str:
    """Return how a call is written."""
    given = ["signal"] if CALLS[call].takes else []
    numbers = [
        name if default is None else f"{name}={default:g}" for name, (*_, default) in CALLS[call].numbers.items()
    ]
    return f"{call}({', '.join([*given, *numbers])})"
