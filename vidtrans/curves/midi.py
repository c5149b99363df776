"""MIDI files as columns of values: controllers, the pitch wheel, and the velocity of notes while they sound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.curves.data_columns import DataColumns, check_size

MOST_BYTES = 2 << 20  # mido makes an object of each event
SMPTE_RATES = {24: 24.0, 25: 25.0, 29: 30000 / 1001, 30: 30.0}  # frames per second; 29 stands for drop-frame
Event = tuple[float, str, float]  # a time in s, a column, a value
Song = Any  # of mido, which has no types


@dataclass(frozen=True)
class _MidiColumns(Mapping[str, np.ndarray]):
    """Columns that are made when they are read, since a song may have thousands.

    Attributes:
        moments: The times of all events, in s, after one before the song.
        events: The events of each column.
        names: The columns that a message lists.
    """

    moments: np.ndarray
    events: Mapping[str, Sequence[tuple[float, float]]]
    names: Sequence[str]

    def __getitem__(self, name: str) -> np.ndarray:
        events = self.events[name]
        column = np.full(len(self.moments), np.nan)
        column[0] = 0.0  # before the first event
        places = np.searchsorted(self.moments, [at for at, _ in events])
        for place, (_, value) in zip(places, events, strict=True):  # of several at one moment the last one counts
            column[place] = value
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def read_midi(path: Path) -> DataColumns:
    """Return the columns ``cc1`` … and ``note60`` … (0 to 1), ``notes`` (the loudest note), ``pitch`` (-1 to 1).

    They are of all channels; ``ch4.cc1`` … are of channel 4 alone, of 1 to 16. Raises UsageError.
    """
    try:
        import mido
    except ImportError:
        raise UsageError(str(path), "mido is not installed", "pip install 'vidtrans[midi]'") from None
    if path.stat().st_size > MOST_BYTES:
        raise UsageError(str(path), f"it has more than {MOST_BYTES >> 20} MB", "export fewer tracks")
    wrong = (EOFError, OSError, LookupError, TypeError, ValueError, ArithmeticError, mido.KeySignatureError)
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    try:
        for at, name, value in _events(mido.MidiFile(str(path))):
            found[name].append((at, value))
    except wrong as error:
        raise UsageError(
            str(path), f"it is no MIDI file ({str(error) or 'it ends too early'})", "export it again"
        ) from None
    if not found:
        raise UsageError(str(path), "it has no notes and no controllers", "give another")
    moments = np.unique([-1.0, *(at for events in found.values() for at, _ in events)])
    check_size(path, len(moments), 1)
    names = sorted(found, key=lambda name: "." in name)  # those of all channels first
    channels = {name.partition(".")[0] for name in names if "." in name}
    listed = names if len(channels) > 1 else [name for name in names if "." not in name]
    return DataColumns(path, moments, _MidiColumns(moments, dict(found), listed), in_frames=False, holds=True)


def _events(song: Song) -> Iterator[Event]:
    """Yield the changes of values, of all channels and of the channel of each message."""
    sounding: dict[int, dict[int, float]] = defaultdict(dict)  # velocities by channel and note
    loudest: dict[int, float] = {}
    for now, message in _timed(song):
        changes: list[tuple[str, float, float]] = []  # a column, its value of the channel, and of all channels
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
        for name, own, of_all in changes:
            yield now, name, of_all
            yield now, f"ch{message.channel + 1}.{name}", own


def _timed(song: Song) -> Iterator[tuple[float, Any]]:
    """Yield the messages with their times in s, whose ticks are parts of a beat, or of a frame of SMPTE timecode."""
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
