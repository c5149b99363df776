"""Signals as functions of time: decaying events, averages, peak followers, and the columns of files of values.

Files of values are CSV with a column of times, JSON with a list of frames (as Parseq writes), and MIDI: controllers,
the pitch wheel, and the velocity of sounding notes.
"""

from __future__ import annotations

import json
import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.files import check_regular_file, digest_file
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Time, parse_time
from vidtrans.core.system import name_key, path_as_stored
from vidtrans.core.text_files import parse_number, read_rows, read_text
from vidtrans.curves.curve import SUFFIXES, file_of
from vidtrans.curves.expressions import Signal

# Function from times, in s from the first frame, to values; both (n,) float64
Track = Callable[[np.ndarray], np.ndarray]
GRID_S = 0.005  # Interval, in s, of the samples from which ``smooth`` and ``follow`` are computed
# Longest clip, in s, for ``smooth`` and ``follow``: a clip with a damaged clock may seem to last for years
MAX_DURATION_S = 24 * 3600
# Standard deviation of a box of width 1: an average over S s is computed as a Gaussian with σ = BOX_SIGMA · S
BOX_SIGMA = 12**-0.5
MAX_ROWS = 1_000_000  # Largest number of rows of a file of values
MAX_COLUMNS = 1000  # Largest number of columns of a file of values
MAX_VALUES = 10_000_000  # Largest number of values in all columns of a file
MAX_FILE_BYTES = 64 << 20  # Largest file of values
NUM_NAMING_ROWS = 1000  # Number of first rows of a JSON file whose keys define the columns
# Names of columns with times in s, and of columns with frame numbers.
TIME_COLUMNS, FRAME_COLUMNS = ("time", "seconds", "t", "time_s"), ("frame", "frames", "frame_number")
MAX_MIDI_BYTES = 2 << 20  # Largest MIDI file, because the library mido creates an object for each event
# Frames per second by the SMPTE frame rate number of a MIDI file; 29 stands for drop-frame timecode
SMPTE_RATES = {24: 24.0, 25: 25.0, 29: 30000 / 1001, 30: 30.0}
Event = tuple[float, str, float]  # Change of a value in a MIDI file: time in s, column name, value
Song = Any  # Song object of the library mido, which has no types


def interpolated_track(times: np.ndarray, values: np.ndarray, *, holds: bool = False) -> Track:
    """Return a track that interpolates between ``values`` at ``times``, which are in s and in order.

    ``holds``: each value lasts until the next one, without interpolation.
    """
    if not holds:
        return lambda at: np.interp(at, times, values)
    return lambda at: values[np.clip(np.searchsorted(times, at + 1e-9, side="right") - 1, 0, len(values) - 1)]


def decay_track(events: Sequence[float] | np.ndarray, decay_s: float) -> Track:
    """Return a track that is 1 at each event, then falls to 1/e in ``decay_s`` s; 0 before the first event.

    ``events``: times in s, in order.
    """
    moments = np.asarray(events, np.float64)

    def at(times: np.ndarray) -> np.ndarray:
        """Return the values of the track at ``times``, in s."""
        if not len(moments):
            return np.zeros(len(times))
        last = np.searchsorted(moments, times + 1e-9, side="right") - 1
        since = np.where(last >= 0, times - moments[np.maximum(last, 0)], np.inf)
        return np.exp(-np.maximum(since, 0.0) / decay_s)

    return at


def gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """Return values, (n,), smoothed by a Gaussian with σ = ``sigma`` samples; edge values pad the ends."""
    reach = min(int(4 * sigma), 4 * len(values))
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / max(sigma, 1e-9)))
    padded = np.pad(values, reach, mode="edge")
    if reach > 200:
        from scipy.signal import fftconvolve  # A direct sum over minutes would take seconds

        smooth: np.ndarray = fftconvolve(padded, kernel / kernel.sum(), mode="valid")
        return smooth
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def call_track(signal: Signal, inner: Track) -> Track:
    """Return the track of a call of ``smooth`` or ``follow``; ``inner``: the track of its signal.

    The track raises UsageError for a clip that is too long.
    """

    def at(times: np.ndarray) -> np.ndarray:
        """Return the values of the call at ``times``, in s. Raises UsageError."""
        if not len(times):
            return np.zeros(0)
        [seconds] = signal.numbers
        # The grid ends S seconds after the last time, and its points are multiples of GRID_S for any range of frames.
        first, last = (np.floor(min(times.min(), 0.0) / GRID_S), np.ceil((times.max() + seconds) / GRID_S) + 1)
        if last - first > MAX_DURATION_S / GRID_S:
            raise UsageError(
                str(signal), f"the clip is longer than {MAX_DURATION_S / 3600:g} h", "use the signal as it is"
            )
        grid = np.arange(first, last + 1) * GRID_S
        values = np.asarray(inner(grid), np.float64)
        result = (
            gaussian(values, seconds * BOX_SIGMA / GRID_S)
            if signal.name == "smooth"
            else _follow(values, grid, seconds)
        )
        return np.interp(times, grid, result)

    return at


class RunningCall:
    """A call of ``smooth`` or ``follow`` on consecutive values of a live signal, which uses past values only.

    ``smooth`` is an exponential average, with the mean delay of an average over the last S seconds.
    """

    def __init__(self, call: Signal) -> None:
        self._is_average = call.name == "smooth"
        [self._seconds] = call.numbers
        self.value = 0.0

    def step(self, value: float, passed_s: float) -> float:
        """Return the value of the call after the signal's next ``value``, ``passed_s`` s after the previous one."""
        if self._is_average:
            self.value += (1 - math.exp(-2 * passed_s / self._seconds)) * (value - self.value)
        else:
            self.value = max(value, max(self.value, 0.0) * math.exp(-passed_s / self._seconds))
        return self.value


def _follow(values: np.ndarray, grid: np.ndarray, release_s: float) -> np.ndarray:
    """Return the maximum of each value and of the earlier values, which fall to 1/e in ``release_s`` s.

    ``grid``: the times of the values, in s.
    """
    floor = min(float(values.min()), 0.0)
    with np.errstate(divide="ignore"):
        highest = np.maximum.accumulate(np.log(values - floor) + grid / release_s)
    return np.exp(highest - grid / release_s) + floor


@dataclass(frozen=True)
class DataColumns:
    """The columns of a file of values. ``at``: the times of the rows; ``columns``: values by name, NaN if missing.

    ``in_frames``: the times ``at``, which are in order, are frame numbers, else seconds. ``holds``: a value lasts until
    the next one, else values are interpolated.
    """

    path: Path
    at: np.ndarray
    columns: Mapping[str, np.ndarray]
    in_frames: bool
    holds: bool = False

    def track(self, column: str, seconds_of: Callable[[np.ndarray], np.ndarray]) -> Track:
        """Return a column as a function of time; the name "" stands for the only column. Raises UsageError.

        ``seconds_of``: returns the times, in s, of frame numbers.
        """
        if not column and len(self.columns) != 1:
            names = ", ".join(list(self.columns)[:12])
            raise UsageError(str(self.path), f"it has {len(self.columns)} columns", f"name one, FILE:COLUMN: {names}")
        column = name_key(column) or next(iter(self.columns))
        if column not in self.columns:
            raise unknown_name(f"column '{column}': {self.path} has no column", column, list(self.columns)[:50])
        values = self.columns[column]
        is_valid = np.isfinite(values)
        if not is_valid.any():
            raise UsageError(f"{self.path}:{column}", "it has no numbers", "choose another column")
        times = seconds_of(self.at[is_valid]) if self.in_frames else self.at[is_valid]
        return interpolated_track(times, values[is_valid], holds=self.holds)


def check_size(path: Path, num_rows: int, num_columns: int) -> None:
    """Raise UsageError for a file of values with too many rows, columns or values."""
    if num_rows > MAX_ROWS:
        raise UsageError(str(path), f"it has more than {MAX_ROWS:,} rows", "give fewer")
    if num_columns > MAX_COLUMNS:
        raise UsageError(str(path), f"it has more than {MAX_COLUMNS:,} columns", "leave out those that no curve reads")
    if num_rows * num_columns > MAX_VALUES:
        raise UsageError(str(path), f"it has more than {MAX_VALUES:,} values", "leave out columns")


def read_data(path: Path) -> DataColumns:
    """Read the columns of a file of values (CSV, JSON or MIDI). Raises UsageError."""
    readers = dict(zip(SUFFIXES, (_read_csv, _read_json, read_midi, read_midi), strict=True))
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(str(path), "it is no file of values", f"give one that ends in {', '.join(SUFFIXES)}")
    path = path_as_stored(path)
    check_regular_file(path, UsageError)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(str(path), f"it has more than {MAX_FILE_BYTES >> 20} MB", "give a shorter one")
        return reader(path)
    except FileNotFoundError:
        raise UsageError(str(path), "no such file", "check the name") from None
    except OSError as error:
        raise UsageError(str(path), (error.strerror or str(error)).lower(), "check the file") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(str(path), f"it cannot be read ({str(error) or 'too deep'})", "correct it") from None


def digest_value_file(path: Path) -> str:
    """Return the SHA-256 (hex) of a file of values. Raises UsageError."""
    path = path_as_stored(path)
    check_regular_file(path, UsageError)
    try:
        return digest_file(path)
    except OSError as error:
        raise UsageError(str(path), (error.strerror or str(error)).lower(), "check the name") from None


def _read_columns(
    path: Path, names: Sequence[str], rows: Iterable[Sequence[object]], *, clock_names: str
) -> DataColumns:
    """Return the columns ``names`` of ``rows``; one column has the times. Raises UsageError.

    A row may have fewer cells than ``names``. ``clock_names``: where the file names its time column, for errors.
    """
    check_size(path, 0, len(names))
    names = [name_key(name) for name in names]
    places = {name.strip().lower(): place for place, name in enumerate(names)}
    clock = next((name for name in (*TIME_COLUMNS, *FRAME_COLUMNS) if name in places), "")
    moments = array("d")
    columns = {names[place].strip(): (place, array("d")) for name, place in places.items() if name != clock}
    for number, row in enumerate(rows, 1):
        if not clock:
            raise UsageError(str(path), "no column is the time", f"name {clock_names} 'time' (seconds) or 'frame'")
        check_size(path, number, len(names))
        at = places[clock]
        moments.append(_parse_moment(path, row[at] if at < len(row) else None, number, clock in FRAME_COLUMNS))
        for place, values in columns.values():
            values.append(_as_number(row[place]) if place < len(row) else math.nan)
    if not moments:
        raise UsageError(str(path), "it has no rows", "give values")
    order = np.argsort(moments, kind="stable")
    ordered = {name: np.array(values)[order] for name, (_, values) in columns.items()}
    numbers = {name: values for name, values in ordered.items() if np.isfinite(values).any()}
    if not numbers:
        raise UsageError(str(path), "it has no column of numbers beside the time", "add one")
    return DataColumns(path, np.array(moments)[order], numbers, clock in FRAME_COLUMNS)


def _parse_moment(path: Path, value: object, row: int, in_frames: bool) -> float:
    """Return a cell of the time column as a frame number or seconds. Raises UsageError."""
    number = _as_number(value)
    if not in_frames and isinstance(value, str) and not math.isfinite(number):
        try:
            moment: Time = parse_time(value.replace(",", "."))
            number = float(moment.seconds) if moment.seconds is not None else math.nan
        except UsageError:
            number = math.nan
    if not math.isfinite(number) or abs(number) > 1e9:
        raise UsageError(f"{path}, row {row}", f"'{str(value)[:40]}' is not a moment", "give a number")
    return number


def _as_number(value: object) -> float:
    """Return a cell as a finite number; NaN for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        number = parse_number(value) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _read_csv(path: Path) -> DataColumns:
    """Read the columns of a CSV file. Raises UsageError."""
    rows = read_rows(read_text(path))
    names = next((row.cells for row in rows), [])

    def cells() -> Iterator[list[str]]:
        """Yield the cells of each row. Raises UsageError for a row with more cells than columns."""
        for row in rows:
            if any(row.cells[len(names) :]):
                why = f"it has {len(row.cells)} cells, and there are {len(names)} columns"
                raise UsageError(f"{path}, line {row.line}", why, "with decimal commas, separate the cells by ;")
            yield row.cells

    return _read_columns(path, names, cells(), clock_names="the first row's column")


def _read_json(path: Path) -> DataColumns:
    """Read the columns of a JSON file with a list of frames. Raises UsageError."""
    content = json.loads(read_text(path))
    if isinstance(content, dict):  # Parseq writes the values of all frames beside the key frames
        content = next((content[name] for name in ("rendered_frames", "frames", "keyframes") if name in content), None)
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise UsageError(str(path), "it has no list of frames", 'write [{"frame": 0, "NAME": 0.5}, …]')
    names = list(dict.fromkeys(name for row in content[:NUM_NAMING_ROWS] for name in row))
    rows = ([row.get(name) for name in names] for row in content)
    return _read_columns(path, names, rows, clock_names="a key of each frame")


@dataclass(frozen=True)
class _MidiColumns(Mapping[str, np.ndarray]):
    """The columns of a MIDI file by name, computed on access, because a song may have thousands.

    Attributes:
        moments: The times of all events, in s; the first one is before the song.
        events: The (time, value) pairs of each column.
        names: The names of the columns that an error message lists.
    """

    moments: np.ndarray
    events: Mapping[str, Sequence[tuple[float, float]]]
    names: Sequence[str]

    def __getitem__(self, name: str) -> np.ndarray:
        events = self.events[name]
        column = np.full(len(self.moments), np.nan)
        column[0] = 0.0  # Before the first event
        places = np.searchsorted(self.moments, [at for at, _ in events])
        for place, (_, value) in zip(places, events, strict=True):  # The last of several simultaneous events counts
            column[place] = value
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def read_midi(path: Path) -> DataColumns:
    """Read the columns of a MIDI file: ``cc1`` … and ``note60`` … (0 to 1), ``notes`` and ``pitch``.

    ``notes`` is the velocity of the loudest note, 0 to 1; ``pitch`` is from -1 to 1. These columns combine all
    channels; ``ch4.cc1`` … are of channel 4 alone, from 1 to 16. Raises UsageError.
    """
    try:
        import mido
    except ImportError:
        raise UsageError(str(path), "mido is not installed", "pip install 'vidtrans[midi]'") from None
    if path.stat().st_size > MAX_MIDI_BYTES:
        raise UsageError(str(path), f"it has more than {MAX_MIDI_BYTES >> 20} MB", "export fewer tracks")
    parse_errors = (EOFError, OSError, LookupError, TypeError, ValueError, ArithmeticError, mido.KeySignatureError)
    events_by_column: dict[str, list[tuple[float, float]]] = defaultdict(list)
    try:
        for at, name, value in _events(mido.MidiFile(str(path))):
            events_by_column[name].append((at, value))
    except parse_errors as error:
        raise UsageError(
            str(path), f"it is no MIDI file ({str(error) or 'it ends too early'})", "export it again"
        ) from None
    if not events_by_column:
        raise UsageError(str(path), "it has no notes and no controllers", "give another")
    moments = np.unique([-1.0, *(at for events in events_by_column.values() for at, _ in events)])
    check_size(path, len(moments), 1)
    names = sorted(events_by_column, key=lambda name: "." in name)  # Columns of all channels first
    channels = {name.partition(".")[0] for name in names if "." in name}
    listed = names if len(channels) > 1 else [name for name in names if "." not in name]
    return DataColumns(
        path, moments, _MidiColumns(moments, dict(events_by_column), listed), in_frames=False, holds=True
    )


def _events(song: Song) -> Iterator[Event]:
    """Yield the changes of values in a song, for all channels together and for the channel of each message."""
    sounding: dict[int, dict[int, float]] = defaultdict(dict)  # Velocities by channel and note
    loudest: dict[int, float] = {}
    for now, message in _with_times(song):
        changes: list[tuple[str, float, float]] = []  # Column, value in the channel, value in all channels
        if message.type == "control_change":
            changes = [(f"cc{message.control}", message.value / 127, message.value / 127)]
        elif message.type == "pitchwheel":
            changes = [("pitch", message.pitch / 8192, message.pitch / 8192)]
        elif message.type in ("note_on", "note_off"):
            note, notes = message.note, sounding[message.channel]
            notes[note] = message.velocity / 127 if message.type == "note_on" else 0.0
            loudest[message.channel] = max(notes.values())
            changes = [
                (f"note{note}", notes[note], max(one.get(note, 0.0) for one in sounding.values())),
                ("notes", loudest[message.channel], max(loudest.values())),
            ]
        for name, value, value_of_all in changes:
            yield now, name, value_of_all
            yield now, f"ch{message.channel + 1}.{name}", value


def _with_times(song: Song) -> Iterator[tuple[float, Any]]:
    """Yield the messages of a song with their times in s.

    A tick is a part of a beat, or of a frame of SMPTE timecode.
    """
    now, division = 0.0, song.ticks_per_beat
    if division >= 0:
        for message in song:
            now += message.time
            yield now, message
        return
    rate, ticks_per_frame = -(division >> 8), division & 0xFF
    if rate not in SMPTE_RATES or not ticks_per_frame:
        raise ValueError(f"its time division is {rate} frames of {ticks_per_frame} ticks")
    ticks = 0
    for message in song.merged_track:
        ticks += message.time
        yield ticks / (SMPTE_RATES[rate] * ticks_per_frame), message


class SignalTracks:
    """Base class of objects that compute signals. ``seconds_of``: returns the times, in s, of frame numbers.

    Each file of values is read once.
    """

    def __init__(self, seconds_of: Callable[[np.ndarray], np.ndarray]) -> None:
        self._seconds_of = seconds_of
        self._files: dict[str, DataColumns] = {}

    def values(self, signals: Collection[Signal], times: np.ndarray) -> Mapping[Signal, np.ndarray]:
        """Return the value of each signal at ``times``, (n,), in s. Raises UsageError, MediaError."""
        self.prepare({signal.source for signal in signals})
        return {signal: self._track(signal)(times) for signal in signals}

    def prepare(self, roots: Collection[Signal]) -> None:
        """Prepare root signals (no calls on other signals) before they are used. Raises UsageError, MediaError."""
        raise NotImplementedError

    def root(self, signal: Signal) -> Track:
        """Return a signal that is neither a call on another signal nor a file, as a track. Raises UsageError."""
        raise NotImplementedError

    def _track(self, signal: Signal) -> Track:
        """Return any signal as a track. Raises UsageError."""
        if signal.inner is not None:
            return call_track(signal, self._track(signal.inner))
        if not signal.file:
            return self.root(signal)
        name, column = file_of(signal.file)
        if name not in self._files:
            self._files[name] = read_data(Path(name))
        return self._files[name].track(column, self._seconds_of)
