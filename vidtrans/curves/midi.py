"""MIDI files as columns of values: controllers, the pitch wheel, and the velocity of notes while they sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.curves.data_columns import DataColumns, check_size

MOST_BYTES = 2 << 20  # mido makes an object of each event
Event = tuple[float, str, float]  # a time in s, a column, a value


def read_midi(path: Path) -> DataColumns:
    """Return the columns ``cc1`` … and ``note60`` … (0 to 1), ``notes`` (the loudest note), ``pitch`` (-1 to 1).

    Raises UsageError.
    """
    try:
        import mido
    except ImportError:
        raise UsageError(str(path), "mido is not installed", "pip install 'vidtrans[midi]'") from None
    if path.stat().st_size > MOST_BYTES:
        raise UsageError(str(path), f"it has more than {MOST_BYTES >> 20} MB", "export fewer tracks")
    wrong = (EOFError, OSError, LookupError, TypeError, ValueError, ArithmeticError, mido.KeySignatureError)
    try:
        events = list(_events(mido.MidiFile(str(path))))
    except wrong as error:
        raise UsageError(
            str(path), f"it is no MIDI file ({str(error) or 'it ends too early'})", "export it again"
        ) from None
    if not events:
        raise UsageError(str(path), "it has no notes and no controllers", "give another")
    moments = np.unique([-1.0, *(at for at, _, _ in events)])
    check_size(path, len(moments), len({name for _, name, _ in events}))
    columns = {name: np.full(len(moments), np.nan) for _, name, _ in events}
    for column in columns.values():
        column[0] = 0.0  # before the first event
    places = np.searchsorted(moments, [at for at, _, _ in events])
    for place, (_, name, value) in zip(places, events, strict=True):  # of several at one moment the last one counts
        columns[name][place] = value
    return DataColumns(path, moments, columns, in_frames=False, holds=True)


def _events(song: Iterable[Any]) -> Iterator[Event]:
    """Yield the changes of values."""
    sounding: dict[int, float] = {}
    now = 0.0
    for message in song:
        now += message.time
        if message.type == "control_change":
            yield now, f"cc{message.control}", message.value / 127
        elif message.type == "pitchwheel":
            yield now, "pitch", message.pitch / 8192
        elif message.type in ("note_on", "note_off"):
            sounding[message.note] = message.velocity / 127 if message.type == "note_on" else 0.0
            yield now, f"note{message.note}", sounding[message.note]
            yield now, "notes", max(sounding.values())
