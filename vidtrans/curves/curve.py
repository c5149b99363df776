"""A value over time: a number, an expression, key frames of expressions with easings, or a file of values.

``CurveClock`` is the time of a clip's frames, at which curves have values; ``CurveSamples`` are their values at all
frames; ``MovingSettings`` are settings that may be curves. Imports are light, as commands list settings.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from vidtrans.core.errors import UsageError
from vidtrans.core.options import settings_over_time
from vidtrans.core.settings import Table, Time, parse_time
from vidtrans.curves.expressions import Expression, Parser, Signal, Values, place_of

if TYPE_CHECKING:
    import numpy as np

# Easing curves between two key frames by name: functions from the share of the time that has passed to the share of
# the change that is done, both 0 to 1
EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "ease": lambda x: (1 - math.cos(math.pi * x)) / 2,
    "ease-in": lambda x: x * x,
    "ease-out": lambda x: x * (2 - x),
    "hold": lambda x: math.floor(x),
}
ROUND_DIGITS = 6  # Decimals to which signals and samples are rounded, because processors round sums differently
# Colours of the curves in a plot, (R, G, B) 0 to 255
CURVE_COLOURS = ((255, 180, 84), (110, 190, 255), (150, 220, 120), (255, 130, 170), (200, 160, 255))
SOUND_COLOUR = (120, 122, 130)  # Colour of the sound in a plot, (R, G, B) 0 to 255
PLOT_WIDTH_PX, PLOT_HEIGHT_PX, SOUND_HEIGHT_PX = 1280, 360, 150  # Size of a plot, and height of its sound
SUFFIXES = (".csv", ".json", ".mid", ".midi")  # Suffixes of files of values that curves read
MAX_CURVE_CHARS = 20_000  # Longest text of a curve, in characters
_FILE_NAME = rf"[^']*(?:{'|'.join(map(re.escape, SUFFIXES))})"  # Name of a file of values, such as "levels.csv"
# Curve that is only a file, FILE[:COLUMN], such as "levels.csv:bass"
_FILE = re.compile(rf"{_FILE_NAME}(?::[^:/\\']*)?", re.IGNORECASE)
# Quoted file in an expression, such as 'levels.csv:bass'
_QUOTED = re.compile(rf"'({_FILE_NAME}(?::[^']*)?)'", re.IGNORECASE)
# Value of a key frame with its easing, such as "1.5 ease-in"
_EASED = re.compile(rf"(?s:(.*\S))\s+({'|'.join(EASINGS)})\s*")
BLOCKS = "▁▂▃▄▅▆▇█"  # Characters that draw a curve as text, from its lowest to its highest value
SMALL_PLOT_WIDTH = 48  # Largest width of a curve drawn as text, in characters
MAX_VALUE = 1e300  # Largest absolute value of a curve that belongs to no setting with bounds


@dataclass(frozen=True)
class Curve:
    """A value over time: an expression, or key frames of expressions.

    Attributes:
        expressions: The values of the key frames; a single one, without moments, holds for all frames.
        moments: The moments of the key frames.
        easings: The easing from the previous key frame to each key frame, a name of ``EASINGS``.
    """

    expressions: tuple[Expression, ...]
    moments: tuple[Time, ...] = ()
    easings: tuple[str, ...] = ()

    @cached_property
    def names(self) -> frozenset[str]:
        """The time variables that the expressions use, such as t."""
        return frozenset().union(*(e.names for e in self.expressions))

    @cached_property
    def signals(self) -> frozenset[Signal]:
        """The signals that the expressions use, such as loudness."""
        return frozenset().union(*(e.signals for e in self.expressions))

    @cached_property
    def constant(self) -> float | None:
        """The value of a curve that never changes; None for other curves."""
        if self.names or self.signals or len({str(e) for e in self.expressions}) > 1:
            return None
        with suppress(ArithmeticError, ValueError):
            return self.expressions[0].value({})
        return None

    @property
    def is_drawn(self) -> bool:
        """Return whether the curve has only numbers and key frames, without time variables and signals."""
        return not self.names and not self.signals

    @property
    def files(self) -> list[str]:
        """The paths of the files of values that the curve reads, without duplicates."""
        return list(dict.fromkeys(file_of(s.source.file)[0] for s in sorted(self.signals, key=str) if s.source.file))

    def __str__(self) -> str:
        if not self.moments:
            return _format_expression(self.expressions[0])
        eased = [f" {easing}" if easing != "linear" else "" for easing in self.easings]
        parts = zip(self.moments, self.expressions, eased, strict=True)
        return ", ".join(f"{moment}: {_format_expression(value)}{easing}" for moment, value, easing in parts)

    def over(self, clock: CurveClock, name: str, low: float, high: float) -> Callable[[int], float]:
        """Return a function from a frame number to the value of the curve; ``clock``: the times of frames.

        ``name``: the name of the option in errors. ``low``, ``high``: the bounds of the value. Raises UsageError if key
        frames are not in order; the function raises it for a value that is not a number or out of bounds.
        """
        keys = [clock.moment(moment) for moment in self.moments]
        check_order(keys, f"{name} {_quoted(str(self))}")
        constant = self.constant
        if constant is not None and low <= constant <= high:
            return lambda frame: constant
        values_at = clock.values_of(self.names, self.signals)
        easings = [EASINGS[easing] for easing in self.easings]

        def value(frame: int) -> float:
            """Return the value of the curve at a frame. Raises UsageError if it is out of bounds."""
            values = values_at(frame)
            try:
                before, after, share = neighbours(keys, clock.place(frame))
                number = self.expressions[before].value(values)
                if after != before:
                    number += easings[after](share) * (self.expressions[after].value(values) - number)
            except (ArithmeticError, ValueError):
                number = math.nan
            if not low <= number <= high:
                text = f"{number:.6g}" if math.isfinite(number) else "no number"
                remedy = f"keep it from {low:g} to {high:g}, as with clamp(…, {low:g}, {high:g})"
                raise UsageError(f"{name} {_quoted(str(self))}", f"at frame {frame} it is {text}", remedy)
            return number

        return value


@lru_cache(maxsize=1024, typed=True)  # A command parses the same few texts dozens of times
def parse_curve(text: str | float, name: str, low: float = -math.inf, high: float = math.inf) -> Curve:
    """Parse a number, an expression, ``"0: 1, 2.5s: 1 + 0.1*sin(t) ease"``, or ``FILE[:COLUMN]`` as a curve.

    ``name``: the name of the option in errors. The numbers of a curve without names and signals must be from ``low`` to
    ``high``, if these are finite. Raises UsageError with the position of the error and a correction.
    """
    whole = str(text)
    if len(whole) > MAX_CURVE_CHARS:
        raise UsageError(name, f"it has more than {MAX_CURVE_CHARS:,} characters", "put the values in a file: FILE.csv")
    if _FILE.fullmatch(whole.strip()):
        whole = f"'{whole.strip()}'"
    parts = _split_parts(whole)
    expressions: list[Expression] = []
    moments: list[Time] = []
    easings: list[str] = []
    if len(parts) == 1 and ":" not in re.sub("'[^']*'", "", whole):
        expressions.append(Parser(whole, 0, len(whole), name).parse())
        parts = ()
    for first, stop in parts:
        colon = _find_colon(whole, first, stop)
        if colon < 0:
            why = f"{_position_text(whole, first, stop)} has no moment before it"
            raise UsageError(f"{name} '{whole}'", why, 'write keyframes as "0: 1, 90: 1.01 + 0.004*sin(t)"')
        moments.append(_parse_moment(whole, first, colon, name))
        eased = _EASED.fullmatch(whole, colon + 1, stop)
        easings.append(eased[2] if eased else "linear")
        expressions.append(Parser(whole, colon + 1, eased.end(1) if eased else stop, name).parse())
    curve = Curve(tuple(expressions), tuple(moments), tuple(easings))
    if curve.is_drawn and math.isfinite(high - low):
        _check_bounds(curve, name, low, high)
    return curve


def file_of(signal: str) -> tuple[str, str]:
    """Split ``FILE[:COLUMN]`` into the path and the column; the column is "" if none is given."""
    name, colon, column = signal.rpartition(":")
    if colon and name.lower().endswith(SUFFIXES):
        return name, column.strip()
    return signal, ""


def files_in(text: str) -> list[str]:
    """Return the quoted files of values in a text, which may hold several curves, as shares of styles do."""
    return list(dict.fromkeys(file_of(file)[0] for file in _QUOTED.findall(text)))


def replace_files(text: str, change: Callable[[Path], str]) -> str:
    """Return a text of curves in which ``change(path)`` replaces each file of values."""
    if _FILE.fullmatch(text.strip()):
        text = f"'{text.strip()}'"

    def replace_file(quoted: re.Match[str]) -> str:
        """Return the replacement for one quoted file."""
        file, column = file_of(quoted[1])
        return f"'{change(Path(file))}{':' if column else ''}{column}'"

    return _QUOTED.sub(replace_file, text)


def _check_bounds(curve: Curve, name: str, low: float, high: float) -> None:
    """Raise UsageError if a number of a curve is not from ``low`` to ``high``."""
    for expression in curve.expressions:
        try:
            value = expression.value({})
        except (ArithmeticError, ValueError):
            value = math.nan
        if not low <= value <= high:
            text = f"{value:g}" if math.isfinite(value) else f"'{curve}'"
            raise UsageError(f"{name} {text}", "out of bounds", f"choose a value from {low:g} to {high:g}")


def _quoted(text: str) -> str:
    """Return the text of a curve in quotes, unless it already is a quoted file name."""
    return text if re.fullmatch("'[^']*'", text) else f"'{text}'"


def _format_expression(expression: Expression) -> str:
    """Return the text of an expression in its normal form; a number is written without ".0"."""
    return str(expression).removesuffix(".0") if re.fullmatch(r"-?[0-9]+\.0", str(expression)) else str(expression)


def _parse_moment(whole: str, first: int, stop: int, name: str) -> Time:
    """Parse the time of a key frame in the characters [first, stop) of the text ``whole``. Raises UsageError."""
    try:
        return parse_time(whole[first:stop])
    except UsageError as error:
        raise UsageError(
            f"{name} '{whole}'", f"{_position_text(whole, first, stop)} is not a moment", error.remedy
        ) from None


def _position_text(whole: str, first: int, stop: int) -> str:
    """Return the text ``at character N: 'PART'`` for the characters [first, stop) of a text; N counts from 1."""
    part = whole[first:stop]
    return f"at character {first + len(part) - len(part.lstrip()) + 1}: '{part.strip()}'"


def _find_colon(whole: str, first: int, stop: int) -> int:
    """Return the index of the last colon of a text in [first, stop) outside quotes; -1 without one."""
    quoted, colon = False, -1
    for at in range(first, stop):
        quoted ^= whole[at] == "'"
        if whole[at] == ":" and not quoted:
            colon = at
    return colon


def _split_parts(whole: str) -> Sequence[tuple[int, int]]:
    """Return the (start, end) indices of the parts of a text between commas outside parentheses and quotes.

    The last part may end with a comma, because programs that write schedules put one after each key frame.
    """
    cuts, depth, quoted = [-1], 0, False
    for at, character in enumerate(whole):
        quoted ^= character == "'"
        if quoted:
            continue
        depth += (character == "(") - (character == ")")
        if character == "," and depth <= 0:
            cuts.append(at)
    if len(cuts) > 1 and not whole[cuts[-1] + 1 :].strip():
        whole = whole[: cuts.pop()]
    return [(a + 1, b) for a, b in zip(cuts, [*cuts[1:], len(whole)], strict=True)]


def check_order(keys: Sequence[Fraction], name: str) -> None:
    """Raise UsageError if the moments ``keys`` of key frames decrease. ``name``: the option in errors."""
    if any(b < a for a, b in itertools.pairwise(keys)):
        raise UsageError(name, "its keyframes are not in order", "sort the keyframes by time")


def neighbours(keys: Sequence[Fraction], moment: int | Fraction) -> tuple[int, int, float]:
    """Return the indices of the key frames before and after a moment, and the moment's place between them, 0 to 1.

    ``keys``: the moments of the key frames, in order. Both indices are equal before the first and after the last key
    frame, and 0 for an empty sequence.
    """
    at = bisect_right(keys, moment)
    if at in (0, len(keys)):
        nearest = max(0, min(at, len(keys) - 1))
        return nearest, nearest, 0.0
    return at - 1, at, float((moment - keys[at - 1]) / (keys[at] - keys[at - 1]))


def parse_names(text: str, name: str) -> tuple[list[str], list[Time]]:
    """Parse ``NAME`` or ``"0: NAME, 120: OTHER"`` into names and the times of their key frames.

    A single name has no time. ``name``: the name of the option in errors. Raises UsageError.
    """
    remedy = f'give a name, or keyframes such as {name} "0: look, 120: other"'
    parts = [part.strip() for part in text.rstrip().removesuffix(",").split(",")]
    if len(parts) == 1 and ":" not in text:
        return parts, []
    names, moments = [], []
    for part in parts:
        # The moment ends at the first colon before a space, as in "0: D:\\a.jpg"; without one, at the last colon.
        moment, colon, value = part.partition(": ") if ": " in part else part.rpartition(":")
        if not colon:
            raise UsageError(f"{name} '{text}'", f"'{part}' has no moment before its value", remedy)
        try:
            moments.append(parse_time(moment))
        except UsageError:
            raise UsageError(f"{name} '{text}'", f"'{moment.strip()}' is not a moment", remedy) from None
        names.append(value.strip())
    if not all(names):
        raise UsageError(f"{name} '{text}'", "a name is missing", remedy)
    return names, moments


class SignalSource(Protocol):
    """The interface of objects that compute the values of signals."""

    def values(self, signals: Collection[Signal], times: np.ndarray) -> Mapping[Signal, np.ndarray]:
        """Return the value of each signal at ``times``, (n,) float64, in s. Raises UsageError, MediaError."""


@dataclass
class CurveClock:
    """The time of the frames of a clip, at which curves have values.

    Attributes:
        place: Returns the position of a frame: its number or its timestamp.
        moment: Returns the position of a moment, in the same unit.
        seconds: Returns the time of a frame, in s from the first one.
        num_frames: The number of frames; needed only for signals.
        shots: The first frame of each shot.
        source: Computes the values of signals; None: there are none.
    """

    place: Callable[[int], int | Fraction]
    moment: Callable[[Time], Fraction]
    seconds: Callable[[int], float]
    num_frames: int = 0
    shots: Sequence[int] = (0,)
    source: SignalSource | None = None
    _tables_by_signal: dict[Signal, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of_rate(cls, rate: Fraction, num_frames: int = 0, source: SignalSource | None = None) -> CurveClock:
        """Return the clock of frames at a constant rate, in frames per second; other parameters: see the class."""

        def moment(time: Time) -> Fraction:
            """Return the frame number, possibly a fraction, of a time in frames or seconds."""
            return Fraction(time.frame) if time.frame is not None else (time.seconds or Fraction(0)) * rate

        return cls(lambda frame: frame, moment, lambda frame: float(frame / rate), num_frames, (0,), source)

    def values_of(self, names: Collection[str], signals: Collection[Signal]) -> Callable[[int], Values]:
        """Return a function from a frame number to the values of the time variables ``names`` and of ``signals``.

        Raises UsageError, MediaError.
        """
        tables = self._tables(signals)
        tables_by_key = {place_of(signal): tables[signal] for signal in signals}
        needs_time = bool(names)

        def values(frame: int) -> Values:
            """Return the values at a frame, by name of a time variable or key of a signal."""
            values_by_key: dict[str, float] = self._time_values(frame) if needs_time else {}
            for key, table in tables_by_key.items():
                values_by_key[key] = float(table[frame])
            return values_by_key

        return values

    def _tables(self, signals: Collection[Signal]) -> Mapping[Signal, np.ndarray]:
        """Return the values of signals at all frames; each signal is computed only once."""
        import numpy as np

        if missing := [signal for signal in signals if signal not in self._tables_by_signal]:
            if self.source is None:
                raise UsageError(
                    str(min(missing, key=str)), "nothing is heard or seen here", "use numbers, t and frame"
                )
            times = np.array([self.seconds(frame) for frame in range(self.num_frames)])
            for signal, values in self.source.values(missing, times).items():
                self._tables_by_signal[signal] = np.round(values, ROUND_DIGITS)
        return self._tables_by_signal

    def _time_values(self, frame: int) -> dict[str, float]:
        """Return the values of the time variables at a frame: t, frame, shot, shot_t and cut."""
        seconds, shots = self.seconds(frame), self.shots
        shot = max(0, bisect_right(shots, frame) - 1)
        near = [abs(seconds - self.seconds(cut)) for cut in shots[max(1, shot) : shot + 2]]
        return {
            "t": seconds,
            "frame": float(frame),
            "shot": float(shot),
            "shot_t": seconds - self.seconds(shots[shot]),
            "cut": min(near, default=seconds),
        }


@dataclass(frozen=True)
class CurveSamples:
    """The values of curves at all frames of a clip.

    ``seconds``: the time of each frame, in s. ``values``: for each curve its text and its value at each frame.
    """

    seconds: Sequence[float]
    values: Sequence[tuple[str, Sequence[float]]]

    def table(self) -> list[Table]:
        """Return for each curve its lowest, highest and mean value, and its value at each frame, as JSON values."""
        return [
            {
                "curve": text,
                "low": min(values),
                "high": max(values),
                "mean": round(math.fsum(values) / len(values), ROUND_DIGITS),
                "values": list(values),
            }
            for text, values in self.values
        ]

    def csv(self) -> str:
        """Return the values as CSV text with a row for each frame, which curves can read."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["frame", "time", *(curve for curve, _ in self.values)])
        for frame, (second, *values) in enumerate(zip(self.seconds, *(v for _, v in self.values), strict=True)):
            rows.writerow([frame, f"{second:.6f}", *(f"{value:.6g}" for value in values)])
        return text.getvalue()

    def plot(self, peaks: np.ndarray, cuts: Sequence[int], name: str) -> np.ndarray:
        """Return a plot of the curves above the sound, (H, W, 3) uint8; ``peaks``: peak of the sound at each frame.

        ``cuts``: first frames of shots.
        """
        import numpy as np

        from vidtrans.video.plots import Chart, ChartCurve

        curves = [
            ChartCurve(text if len(text) < 60 else f"{text[:57]}…", values, CURVE_COLOURS[n % len(CURVE_COLOURS)], 2)
            for n, (text, values) in enumerate(self.values)
        ]
        bands = [Chart(name, curves, self.seconds, cuts).draw(PLOT_WIDTH_PX, PLOT_HEIGHT_PX)]
        if peaks.any():
            sound = [ChartCurve("sound", peaks.tolist(), SOUND_COLOUR, 1)]
            bands.append(Chart("", sound, self.seconds, cuts).draw(PLOT_WIDTH_PX, SOUND_HEIGHT_PX))
        return np.vstack(bands)


def sample_curves(texts: Sequence[str], clock: CurveClock) -> CurveSamples:
    """Return the values of the curves ``texts`` at all frames of a clock. Raises UsageError, MediaError."""
    frames = range(clock.num_frames)
    samples = []
    for text in texts:
        value = parse_curve(text, "CURVE").over(clock, "CURVE", -MAX_VALUE, MAX_VALUE)
        samples.append((text, [round(value(frame), ROUND_DIGITS) for frame in frames]))
    return CurveSamples([clock.seconds(frame) for frame in frames], samples)


def small_plot(values: Sequence[float], width: int = SMALL_PLOT_WIDTH) -> str:
    """Return values as a line of at most ``width`` block characters; each shows the largest of several values."""
    if not values:
        return ""
    import numpy as np

    parts = np.array_split(np.asarray(values, np.float64), min(width, len(values)))
    peaks = [float(part.max()) for part in parts]
    low, high = min(0.0, *peaks), max(peaks)
    if high - low < 10**-ROUND_DIGITS:
        return BLOCKS[0] * len(peaks)
    return "".join(BLOCKS[round((peak - low) / (high - low) * (len(BLOCKS) - 1))] for peak in peaks)


@dataclass(frozen=True)
class MovingSettings:
    """Base class of settings classes whose settings with ``option(moves=…)`` may be curves.

    The constructor raises UsageError for a curve that cannot be parsed.
    """

    table: ClassVar[str]  # Name of the settings table in a recipe

    def __post_init__(self) -> None:
        self.curves()

    def curve(self, name: str) -> Curve:
        """Return the value of the setting ``name`` as a curve. Raises UsageError."""
        return parse_curve(
            getattr(self, name), option_label(type(self), name), *settings_over_time(type(self))[name].ends
        )

    def curves(self) -> dict[str, Curve]:
        """Return all settings that may be curves, by name, as curves. Raises UsageError."""
        return {name: self.curve(name) for name in settings_over_time(type(self))}

    def curve_files(self) -> list[Path]:
        """Return the files of values that the curves of the settings read. Raises UsageError."""
        return [Path(file) for file in dict.fromkeys(f for curve in self.curves().values() for f in curve.files)]


def option_label(cls: type[MovingSettings], name: str) -> str:
    """Return the name of a setting for errors: its option (``--strength``), or else TABLE.NAME (``strokes.size``)."""
    (field,) = (f for f in dataclasses.fields(cls) if f.name == name)
    own, flag = f"--{name.replace('_', '-')}", field.metadata.get("flag")
    return own if flag is not None and own in flag.flags else f"{cls.table}.{name}"


def replace_curve_files(cls: type[MovingSettings], table: Table, change: Callable[[Path], str]) -> Table:
    """Return a settings table in which ``change(path)`` replaces each file that its curves read."""
    return table | {
        name: replace_files(table[name], change) for name in settings_over_time(cls) if isinstance(table.get(name), str)
    }
