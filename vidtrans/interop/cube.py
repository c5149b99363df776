"""LUTs in ``.cube`` files, which editing programs and ffmpeg read (Adobe, Cube LUT Specification 1.0).

DaVinci Resolve also writes a 1D LUT and a 3D LUT into one file: the 1D LUT, the shaper, is applied first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from vidtrans.core.errors import MAX_QUOTED_CHARS, ModelError
from vidtrans.core.files import write_atomically
from vidtrans.core.settings import Table
from vidtrans.core.text_files import decode_text
from vidtrans.models.formats import ModelFormat
from vidtrans.models.model_record import NORMALISATION, ModelRecord

SUFFIX = ".cube"  # File suffix of cube LUTs.
MAX_CUBE_NODES = 129  # Largest number of nodes per side of a 3D LUT, twice as many as any program writes.
MAX_CURVE_NODES = 65_536  # Largest number of nodes of a 1D LUT, as DaVinci Resolve writes.
# Number of nodes of a 1D LUT after resampling from another input range to colours from 0 to 1.
RESAMPLED_NODES = 16_385
MAX_BYTES = 256 << 20  # Largest size of a file in bytes.
HEAD_BYTES = 64 << 10  # Number of bytes at the start of a file that must contain the line with the LUT's size.
# The line with the size of a LUT, such as "LUT_3D_SIZE 33", in any case.
SIZE_LINE = re.compile(r"(?mi)^\s*LUT_(?:3D|1D)_SIZE\s+[0-9]{1,6}\s*(?:#.*)?$")
# The start of a line with a colour, such as "0.5" or "-.1"; other lines are keywords.
NUMBER_START = re.compile(r"[+-]?[0-9.]")
EXACT_DIGITS = 7  # Number of decimal places that is written for colours, the resolution of float32.
# Number of values after each keyword of a ``.cube`` file, except TITLE. DaVinci Resolve writes LUT_…_INPUT_RANGE.
KEYWORDS = dict.fromkeys(("LUT_3D_SIZE", "LUT_1D_SIZE"), 1) | dict.fromkeys(("DOMAIN_MIN", "DOMAIN_MAX"), 3)
KEYWORDS |= dict.fromkeys(("LUT_3D_INPUT_RANGE", "LUT_1D_INPUT_RANGE"), 2)


class CubeFormat(ModelFormat):
    """The model format for ``.cube`` files: LUTs for grading from any program. ``vidtrans grade`` writes them."""

    suffixes: ClassVar[tuple[str, ...]] = (SUFFIX,)

    def detect(self, path: Path) -> bool:
        """Return whether the first bytes of a file are text with a line that states the size of a LUT."""
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        with suppress(ValueError):
            return SIZE_LINE.search(decode_text(head)) is not None
        return False

    def read_record(self, path: Path) -> ModelRecord:
        """Return the record of a colour map for the LUT, from the first lines of the file. Raises ModelError."""
        with path.open("rb") as file:
            text = _text(file.read(HEAD_BYTES), path)
        # Drop the last line of the first bytes, which may be incomplete
        whole = text.rpartition("\n")[0] if path.stat().st_size > HEAD_BYTES else text
        head = _Head.read(_lines(whole or text), path)
        return ModelRecord(
            generator={"name": "colour-map", "settings": head.settings},
            pairing={"name": "grade", "settings": {}},
            in_channels=3,
            out_channels=3,
            size=256,
            normalisation=NORMALISATION,
            training={},
            card={"notes": head.title} if head.title else {},
        )

    def load(self, path: Path) -> tuple[Any, ModelRecord]:
        """Return the colour map with the LUTs of a file, and its record. Raises ModelError."""
        from vidtrans.networks.colour_map import ColourMap, ColourMapSettings

        record, luts = self.read_record(path), read_cube(path)
        generator = ColourMap(3, 3, ColourMapSettings(**record.generator["settings"]))
        generator.set_nodes(luts.nodes)
        if luts.shaper is not None:
            generator.set_shaper(luts.shaper)
        return generator, record


class CubeLuts(NamedTuple):
    """The 3D LUT of a ``.cube`` file and its preceding 1D LUT, the shaper, or None; both for colours from 0 to 1.

    Attributes:
        nodes: The 3D LUT, (n, n, n, 3) float64; the first axis is blue.
        shaper: The preceding curves, (n, 3) float64: positions in the 3D LUT, from 0 (first node) to 1 (last node).
    """

    nodes: np.ndarray
    shaper: np.ndarray | None


class _Range(NamedTuple):
    """The input range of a LUT: the colours (R, G, B) at its first and its last node."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def is_usual(self) -> bool:
        """Return whether the first node is for colour 0 and the last node for colour 1, in each channel."""
        return set(self.low) == {0.0} and set(self.high) == {1.0}


@dataclass(frozen=True)
class _Head:
    """The lines before the colours of a ``.cube`` file: node counts and input ranges of its LUTs, and the title.

    ``curve``: number of nodes of the 1D LUT; ``size``: number of nodes per side of the 3D LUT; 0 for a missing LUT.
    """

    curve: int
    curve_range: _Range
    size: int
    range: _Range
    title: str

    @classmethod
    def read(cls, lines: list[str], path: Path) -> _Head:
        """Parse the lines before the colours of a ``.cube`` file. Raises ModelError for an unknown line or no size."""
        values = _keywords(lines, path)
        curve = _size(values, "LUT_1D_SIZE", MAX_CURVE_NODES, path) if "LUT_1D_SIZE" in values else 0
        size = _size(values, "LUT_3D_SIZE", MAX_CUBE_NODES, path) if "LUT_3D_SIZE" in values or not curve else 0
        # DOMAIN_MIN and DOMAIN_MAX apply to the input of the first LUT.
        curve_range = _range(values, "LUT_1D_INPUT_RANGE", path, has_domain=True)
        own_range = _range(values, "LUT_3D_INPUT_RANGE", path, has_domain=not curve)
        title = next((line[5:].strip().strip('"') for line in lines if _keyword(line) == "TITLE"), "")
        return cls(curve, curve_range, size, own_range, title[:MAX_QUOTED_CHARS])

    @property
    def settings(self) -> Table:
        """Return the settings of a ``ColourMap`` with these LUTs, for colours from 0 to 1."""
        return {"size": self.size or 2} | ({"shaper": count} if (count := self._num_curve_nodes) else {})

    @property
    def _num_curve_nodes(self) -> int:
        """Return the number of shaper nodes after resampling to colours from 0 to 1; 2 without a 1D LUT."""
        if not self.curve:
            return 0 if self.range.is_usual else 2
        return self.curve if self.curve_range.is_usual else RESAMPLED_NODES

    def shaper(self, curves: np.ndarray) -> np.ndarray | None:
        """Return the shaper's nodes (n, 3), as positions in the 3D LUT, for the 1D LUT of the file (m, 3)."""
        if not self._num_curve_nodes:
            return None
        colours = np.linspace(0, 1, self._num_curve_nodes)
        shaper = np.repeat(colours[:, None], 3, 1)
        if self.curve and self.curve_range.is_usual:
            shaper = curves
        elif self.curve:
            ends = zip(*self.curve_range, strict=True)
            positions = [np.linspace(low, high, self.curve) for low, high in ends]
            shaper = np.stack([np.interp(colours, nodes, curves[:, c]) for c, nodes in enumerate(positions)], 1)
        low, high = map(np.array, self.range)
        return (shaper - low) / (high - low) if self.size else shaper


def _size(values: Mapping[str, list[str]], key: str, max_nodes: int, path: Path) -> int:
    """Return the number of nodes in the line of keyword ``key``. Raises ModelError outside of 2 to ``max_nodes``."""
    text = (values.get(key) or [""])[0]
    size = int(text) if text.isdecimal() and len(text) < 6 else 0
    if not 2 <= size <= max_nodes:
        what = "nodes per side: 33 is usual" if max_nodes == MAX_CUBE_NODES else "nodes"
        raise ModelError(
            str(path), f"its {key} is '{text[:MAX_QUOTED_CHARS]}'", f"write it with 2 to {max_nodes} {what}"
        )
    return size


def _range(values: Mapping[str, list[str]], key: str, path: Path, *, has_domain: bool) -> _Range:
    """Return a LUT's input range from keyword ``key``, or from DOMAIN_MIN and DOMAIN_MAX if ``has_domain``."""
    domain = {name for name in ("DOMAIN_MIN", "DOMAIN_MAX") if has_domain and name in values}
    low, high = (
        values.get(name, [n] * 3) if has_domain else [n] * 3 for name, n in (("DOMAIN_MIN", "0"), ("DOMAIN_MAX", "1"))
    )
    if key in values:
        if domain:
            why = f"it has both {key} and DOMAIN_MIN or DOMAIN_MAX"
            raise ModelError(str(path), why, "remove one of them")
        low, high = ([value] * 3 for value in values[key])
    colour_range = _Range(_numbers(low), _numbers(high))
    if not all(a < b for a, b in zip(*colour_range, strict=True)):
        why = f"its colours go from {' '.join(low)[:MAX_QUOTED_CHARS]} to {' '.join(high)[:MAX_QUOTED_CHARS]}"
        raise ModelError(str(path), why, "write it for colours from 0 to 1")
    return colour_range


def read_cube(path: Path) -> CubeLuts:
    """Read the LUTs of a ``.cube`` file. Raises ModelError.

    Colours outside of the input range get the value of the first or the last node.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ModelError(str(path), f"it is larger than {MAX_BYTES >> 20} MiB", "do not use this file")
    lines = _lines(_text(path.read_bytes(), path))
    head = _Head.read(lines, path)
    rows = [line for line in lines if NUMBER_START.match(line)]
    count = head.curve + head.size**3
    if len(rows) != count:
        raise ModelError(str(path), f"it has {len(rows)} colours instead of {count}", "write or copy it again")
    try:
        colours = np.array([row.split() for row in rows], np.float64)
    except ValueError:
        raise ModelError(str(path), "a line is not a colour (three numbers)", "write or copy it again") from None
    if colours.shape[1:] != (3,) or not np.isfinite(colours).all():
        raise ModelError(str(path), "a line is not a colour (three numbers)", "write or copy it again")
    shaper = head.shaper(colours[: head.curve])
    if not head.size:  # A 1D LUT alone outputs colours, so the 3D LUT is the identity
        return CubeLuts(np.stack(np.meshgrid(*[[0.0, 1.0]] * 3, indexing="ij")[::-1], 3), shaper)
    return CubeLuts(colours[head.curve :].reshape(head.size, head.size, head.size, 3), shaper)


def write_cube(path: Path, nodes: np.ndarray, title: str) -> None:
    """Write the nodes of a 3D LUT, (n, n, n, 3) in [0, 1] with blue as the first axis, atomically."""
    clean = "".join(c for c in title if c.isprintable() and c not in '"\\')
    head = f'TITLE "{clean}"\nLUT_3D_SIZE {len(nodes)}\nDOMAIN_MIN 0.0 0.0 0.0\nDOMAIN_MAX 1.0 1.0 1.0\n'
    rows = "\n".join(" ".join(f"{value:.{EXACT_DIGITS}f}" for value in colour) for colour in nodes.reshape(-1, 3))
    with write_atomically(path) as temporary:
        temporary.write_text(f"{head}{rows}\n", "ascii", "replace", newline="\n")


def _text(data: bytes, path: Path) -> str:
    """Decode bytes of a file as text. Raises ModelError, which names ``path``."""
    try:
        return decode_text(data)
    except ValueError as error:
        raise ModelError(str(path), str(error), "export it again") from None


def _lines(text: str) -> list[str]:
    """Return the lines of a text without comments and empty lines; in a TITLE line, # does not start a comment."""
    lines = (
        line.strip() if _keyword(line) == "TITLE" else line.partition("#")[0].strip() for line in text.splitlines()
    )
    return [line for line in lines if line]


def _keyword(line: str) -> str:
    """Return the first word of a line in capitals; '' for an empty line."""
    return (line.split() or [""])[0].upper()


def _keywords(lines: list[str], path: Path) -> dict[str, list[str]]:
    """Return the values of keyword lines as text. Raises ModelError for a line that is no keyword and no colour."""
    keywords: dict[str, list[str]] = {}
    for line in lines:
        key, *values = line.split()
        key = key.upper()
        if NUMBER_START.match(line) or key == "TITLE":
            continue
        if KEYWORDS.get(key) != len(values) and key not in ("LUT_3D_SIZE", "LUT_1D_SIZE"):
            why = f"a line is not known here: '{line[:MAX_QUOTED_CHARS]}'"
            raise ModelError(str(path), why, "export the table again, for full-range inputs from 0 to 1")
        if keywords.setdefault(key, values) != values:
            raise ModelError(str(path), f"it has two lines of {key}", "remove the wrong one")
    return keywords


def _numbers(texts: list[str]) -> tuple[float, ...]:
    """Parse three numbers. An infinite number becomes NaN; if one text is not a number, all three become NaN."""
    try:
        return tuple(float(text) if math.isfinite(float(text)) else math.nan for text in texts)
    except ValueError:
        return (math.nan,) * 3
