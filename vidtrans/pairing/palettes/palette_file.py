"""The colours of classes by the name of a data set, or from a file: lists, GIMP and Photoshop palettes, JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.files import check_regular_file
from vidtrans.core.settings import Table
from vidtrans.core.system import as_found
from vidtrans.core.text_files import decode_text
from vidtrans.pairing.palettes.known_palettes import KNOWN_PALETTES

HEX = re.compile(r"#([0-9a-fA-F]{6})\b")
NUMBERS = re.compile(r"(?<![\w.#-])\d{1,3}(?![\w.])", re.ASCII)
MOST_BYTES = 1_000_000
ACT_BYTES = 768  # 256 colours; two more numbers may follow, the first being how many colours count


def with_palette_file(table: Mapping[str, object]) -> Table:
    """Return pairing settings in which a ``palette`` given by name is replaced by its colours.

    The name is that of a file, or of a well-known data set, which also has colours to ``ignore``. Raises UsageError.
    """
    value = table.get("palette")
    if isinstance(value, str) and (known := KNOWN_PALETTES.get(value.lower())):
        return {"ignore": known.ignore} | dict(table) | {"palette": known.colours}
    if not isinstance(value, str) or value.lstrip().startswith("#") or not _is_file(value):
        return dict(table)
    found = colours_in(Path(value))
    if not found:
        remedy = "list '#rrggbb' or 'r g b', one class on each line"
        raise UsageError(f"pairing.palette={value}", "no colours in it", remedy)
    return dict(table) | {"palette": " ".join("#" + bytes(colour).hex() for colour in found)}


def _is_file(text: str) -> bool:
    """Return whether a text is the path of a file; a long list of colours is none."""
    try:
        return as_found(Path(text)).is_file()
    except (OSError, ValueError):
        return False


def colours_in(path: Path) -> list[list[int]]:
    """Return the colours in a file as [r, g, b], one for each class.

    A line has '#rrggbb' or three numbers, optionally with the class's number before them and its name. JSON has such
    strings or lists of three numbers, in order. An indexed picture has its palette. Raises UsageError.
    """
    path = as_found(path)
    check_regular_file(path, UsageError)
    suffix = path.suffix.lower()
    if suffix in (".png", ".bmp", ".tif", ".tiff"):
        from vidtrans.video.images.picture import read_palette

        palette = read_palette(path)
        return [] if palette is None else [list(map(int, colour)) for colour in palette]
    try:
        data = path.read_bytes()[:MOST_BYTES]
        if suffix == ".act" and len(data) >= ACT_BYTES:
            count = int.from_bytes(data[ACT_BYTES : ACT_BYTES + 2], "big") if len(data) >= ACT_BYTES + 4 else 256
            colours = [list(data[at : at + 3]) for at in range(0, 3 * (count or 256), 3)][:256]
            while len(data) == ACT_BYTES and len(colours) > 1 and colours[-1] == colours[-2]:  # the rest is padding
                colours.pop()
            return colours
        text = decode_text(data)
        found = list(_in_json(json.loads(text)) if suffix == ".json" else _in_lines(text))
        if any(not 0 <= number < 256 for colour in found for number in colour):
            raise ValueError("a number in it is not one of 0 to 255")
        return found
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"pairing.palette={path}", f"it cannot be read ({error})", "give a list of colours") from None


def _in_lines(text: str) -> Iterator[list[int]]:
    for line in text.splitlines():
        if match := HEX.search(line):
            yield list(bytes.fromhex(match[1]))
            continue
        numbers = [int(number) for number in NUMBERS.findall(line.partition("#")[0])]
        if len(numbers) >= 3:  # the first of four is the number of the class, unless a name stands before them
            yield numbers[1:4] if len(numbers) > 3 and line.lstrip()[:1].isdigit() else numbers[:3]


def _in_json(value: object) -> Iterator[list[int]]:
    """Yield the colours in JSON, in order."""
    if isinstance(value, str) and (match := HEX.fullmatch(value)):
        yield list(bytes.fromhex(match[1]))
    elif isinstance(value, list) and len(value) == 3 and all(type(number) is int for number in value):
        yield value
    elif isinstance(value, dict | list):
        for below in value.values() if isinstance(value, dict) else value:
            yield from _in_json(below)
