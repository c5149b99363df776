"""Files of values: CSV with a column of times, JSON with a list of frames (as Parseq writes), and MIDI."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.files import check_regular_file, digest_file
from vidtrans.core.settings import Time, parse_time
from vidtrans.curves.data_columns import MOST_ROWS, DataColumns
from vidtrans.curves.midi import read_midi

MOST_BYTES = 64 << 20
TIMES, FRAMES = ("time", "seconds", "t", "time_s"), ("frame", "frames", "frame_number")


def read_data(path: Path) -> DataColumns:
    """Read a file of values. Raises UsageError."""
    readers = {".csv": _read_csv, ".json": _read_json, ".mid": read_midi, ".midi": read_midi}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(str(path), "it is no file of values", f"give one that ends in {', '.join(readers)}")
    check_regular_file(path, UsageError)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(str(path), f"it has more than {MOST_BYTES >> 20} MB", "give a shorter one")
        return reader(path)
    except FileNotFoundError:
        raise UsageError(str(path), "no such file", "check the name") from None
    except OSError as error:
        raise UsageError(str(path), (error.strerror or str(error)).lower(), "check the file") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(str(path), f"it cannot be read ({str(error) or 'too deep'})", "correct it") from None


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 (hex) of a file that curves read. Raises UsageError."""
    check_regular_file(path, UsageError)
    try:
        return digest_file(path)
    except OSError as error:
        raise UsageError(str(path), (error.strerror or str(error)).lower(), "check the name") from None


def _table(path: Path, rows: list[Mapping[str, object]], *, clock_names: str) -> DataColumns:
    """Return the columns of rows; one of them is the time. Raises UsageError."""
    if not rows:
        raise UsageError(str(path), "it has no rows", "give values")
    if len(rows) > MOST_ROWS:
        raise UsageError(str(path), f"it has more than {MOST_ROWS:,} rows", "give fewer")
    names = {name.strip().lower(): name for row in rows[:1000] for name in row if isinstance(name, str)}
    clock = next((name for name in (*TIMES, *FRAMES) if name in names), "")
    if not clock:
        raise UsageError(str(path), "no column is the time", f"name {clock_names} 'time' (seconds) or 'frame'")
    moments = np.array([_moment(path, row.get(names[clock]), n, clock in FRAMES) for n, row in enumerate(rows, 1)])
    if (np.diff(moments) < 0).any():
        order = np.argsort(moments, kind="stable")
        rows, moments = [rows[n] for n in order], moments[order]
    kept = {name.strip(): name for name in names.values() if name.strip().lower() != clock}
    columns = {short: np.array([_number(row.get(name)) for row in rows]) for short, name in kept.items()}
    numbers = {name: values for name, values in columns.items() if np.isfinite(values).any()}
    if not numbers:
        raise UsageError(str(path), "it has no column of numbers beside the time", "add one")
    return DataColumns(path, moments, numbers, clock in FRAMES)


def _moment(path: Path, value: object, row: int, in_frames: bool) -> float:
    found = _number(value)
    if not in_frames and isinstance(value, str) and not math.isfinite(found):
        try:
            moment: Time = parse_time(value)
            found = float(moment.seconds) if moment.seconds is not None else math.nan
        except UsageError:
            found = math.nan
    if not math.isfinite(found) or abs(found) > 1e9:
        raise UsageError(f"{path}, row {row}", f"'{str(value)[:40]}' is not a moment", "give a number")
    return found


def _number(value: object) -> float:
    """Return a number, or NaN where a value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def _read_csv(path: Path) -> DataColumns:
    text = path.read_text(encoding="utf-8-sig")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    rows: list[Mapping[str, object]] = []
    for row in csv.DictReader(text.splitlines(), delimiter=delimiter):
        rows.append({name: value for name, value in row.items() if isinstance(name, str)})
        if len(rows) > MOST_ROWS:
            break
    return _table(path, rows, clock_names="the first row's column")


def _read_json(path: Path) -> DataColumns:
    found = json.loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(found, dict):  # Parseq writes the values of all frames beside the key frames
        found = next((found[name] for name in ("rendered_frames", "frames", "keyframes") if name in found), None)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise UsageError(str(path), "it has no list of frames", 'write [{"frame": 0, "NAME": 0.5}, …]')
    return _table(path, found, clock_names="a key of each frame")
