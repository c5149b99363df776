"""Files of values: CSV with a column of times, JSON with a list of frames (as Parseq writes), and MIDI."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.files import check_regular_file, digest_file
from vidtrans.core.settings import Time, parse_time
from vidtrans.core.system import as_found, name_key
from vidtrans.core.text_files import parse_number, read_rows, read_text
from vidtrans.curves.data_columns import DataColumns, check_size
from vidtrans.curves.midi import read_midi

MOST_BYTES = 64 << 20
NAMING_ROWS = 1000  # of a JSON file, in which the names of its columns are looked for
TIMES, FRAMES = ("time", "seconds", "t", "time_s"), ("frame", "frames", "frame_number")


SUFFIXES = (".csv", ".json", ".mid", ".midi")


def read_data(path: Path) -> DataColumns:
    """Read a file of values. Raises UsageError."""
    readers = dict(zip(SUFFIXES, (_read_csv, _read_json, read_midi, read_midi), strict=True))
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(str(path), "it is no file of values", f"give one that ends in {', '.join(SUFFIXES)}")
    path = as_found(path)
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
    path = as_found(path)
    check_regular_file(path, UsageError)
    try:
        return digest_file(path)
    except OSError as error:
        raise UsageError(str(path), (error.strerror or str(error)).lower(), "check the name") from None


def _table(path: Path, names: Sequence[str], rows: Iterable[Sequence[object]], *, clock_names: str) -> DataColumns:
    """Return the columns ``names`` of rows, which may be shorter; one of them is the time. Raises UsageError."""
    check_size(path, 0, len(names))
    names = [name_key(name) for name in names]
    places = {name.strip().lower(): place for place, name in enumerate(names)}
    clock = next((name for name in (*TIMES, *FRAMES) if name in places), "")
    moments = array("d")
    columns = {names[place].strip(): (place, array("d")) for name, place in places.items() if name != clock}
    for number, row in enumerate(rows, 1):
        if not clock:
            raise UsageError(str(path), "no column is the time", f"name {clock_names} 'time' (seconds) or 'frame'")
        check_size(path, number, len(names))
        at = places[clock]
        moments.append(_moment(path, row[at] if at < len(row) else None, number, clock in FRAMES))
        for place, values in columns.values():
            values.append(_number(row[place]) if place < len(row) else math.nan)
    if not moments:
        raise UsageError(str(path), "it has no rows", "give values")
    order = np.argsort(moments, kind="stable")
    ordered = {name: np.array(values)[order] for name, (_, values) in columns.items()}
    numbers = {name: values for name, values in ordered.items() if np.isfinite(values).any()}
    if not numbers:
        raise UsageError(str(path), "it has no column of numbers beside the time", "add one")
    return DataColumns(path, np.array(moments)[order], numbers, clock in FRAMES)


def _moment(path: Path, value: object, row: int, in_frames: bool) -> float:
    found = _number(value)
    if not in_frames and isinstance(value, str) and not math.isfinite(found):
        try:
            moment: Time = parse_time(value.replace(",", "."))
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
        found = parse_number(value) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def _read_csv(path: Path) -> DataColumns:
    rows = read_rows(read_text(path))
    names = next((row.cells for row in rows), [])

    def cells() -> Iterator[list[str]]:
        for row in rows:
            if any(row.cells[len(names) :]):
                why = f"it has {len(row.cells)} cells, and there are {len(names)} columns"
                raise UsageError(f"{path}, line {row.line}", why, "with decimal commas, separate the cells by ;")
            yield row.cells

    return _table(path, names, cells(), clock_names="the first row's column")


def _read_json(path: Path) -> DataColumns:
    found = json.loads(read_text(path))
    if isinstance(found, dict):  # Parseq writes the values of all frames beside the key frames
        found = next((found[name] for name in ("rendered_frames", "frames", "keyframes") if name in found), None)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise UsageError(str(path), "it has no list of frames", 'write [{"frame": 0, "NAME": 0.5}, …]')
    names = list(dict.fromkeys(name for row in found[:NAMING_ROWS] for name in row))
    rows = ([row.get(name) for name in names] for row in found)
    return _table(path, names, rows, clock_names="a key of each frame")
