"""3D LUTs as ``.cube`` files, which editing programs and ffmpeg read (Adobe, Cube LUT Specification 1.0)."""

from __future__ import annotations

import codecs
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vidtrans.core.errors import MAX_QUOTED, ModelError
from vidtrans.core.files import write_atomically
from vidtrans.models.formats import ModelFormat
from vidtrans.models.model_record import NORMALISATION, ModelRecord

SUFFIX = ".cube"
MAX_SIZE = 129  # nodes per side: twice as many as any program writes
MAX_BYTES = 256 << 20
HEAD_BYTES = 64 << 10  # first bytes of a file, which must contain its size
SIZE_LINE = re.compile(r"(?mi)^\s*LUT_(?:3D|1D)_SIZE\s+[0-9]{1,6}\s*(?:#.*)?$")
NUMBER = re.compile(r"[+-]?[0-9.]")
EXACT_DIGITS = 7  # after the point: float32
# Keywords by their number of values, besides TITLE; DaVinci Resolve writes LUT_3D_INPUT_RANGE.
KEYWORDS = {"LUT_3D_SIZE": 1, "LUT_1D_SIZE": 1, "DOMAIN_MIN": 3, "DOMAIN_MAX": 3, "LUT_3D_INPUT_RANGE": 2}


class CubeFormat(ModelFormat):
    """The model format for ``.cube`` files: 3D LUTs for grading, of any program. ``vidtrans grade`` writes them."""

    suffixes: ClassVar[tuple[str, ...]] = (SUFFIX,)

    def detect(self, path: Path) -> bool:
        """Return whether the first bytes are text with the size of a LUT."""
        with path.open("rb") as file:
            head = _text(file.read(HEAD_BYTES))
        return "\0" not in head and SIZE_LINE.search(head.replace("\r", "\n")) is not None

    def read_record(self, path: Path) -> ModelRecord:
        """Return a record of a colour map with the file's size and title. Raises ModelError."""
        with path.open("rb") as file:
            text = _text(file.read(HEAD_BYTES))
        whole = text.rpartition("\n")[0] if path.stat().st_size > HEAD_BYTES else text  # the last line may be cut
        head = _Head.read(_lines(whole or text), path)
        return ModelRecord(
            generator={"name": "colour-map", "settings": {"size": head.nodes}},
            pairing={"name": "grade", "settings": {}},
            in_channels=3,
            out_channels=3,
            size=256,
            normalisation=NORMALISATION,
            training={},
            card={"notes": head.title} if head.title else {},
        )

    def load(self, path: Path) -> tuple[Any, ModelRecord]:
        """Build the colour map with the file's nodes; return it with its record. Raises ModelError."""
        from vidtrans.networks.colour_map import ColourMap, ColourMapSettings

        record = self.read_record(path)
        generator = ColourMap(3, 3, ColourMapSettings(record.generator["settings"]["size"]))
        generator.set_nodes(read_cube(path))
        return generator, record


@dataclass(frozen=True)
class _Head:
    """The head of a file: nodes per side, and the colours of the first and the last node, by channel."""

    size: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    title: str

    @classmethod
    def read(cls, lines: list[str], path: Path) -> _Head:
        """Parse the lines before the colours. Raises ModelError unless it is a 3D LUT and every such line is known."""
        values = _keywords(lines, path)
        if "LUT_1D_SIZE" in values:
            why = "it is a 1D LUT (curves for single channels), or has one"
            raise ModelError(str(path), why, "write it as a 3D LUT (LUT_3D_SIZE)")
        given = (values.get("LUT_3D_SIZE") or [""])[0]
        size = int(given) if given.isdecimal() and len(given) < 6 else 0
        if not 2 <= size <= MAX_SIZE:
            why = f"its LUT_3D_SIZE is '{given[:MAX_QUOTED]}'"
            raise ModelError(str(path), why, f"write it with 2 to {MAX_SIZE} nodes per side: 33 is usual")
        low, high = (values.get(key, [number] * 3) for key, number in (("DOMAIN_MIN", "0"), ("DOMAIN_MAX", "1")))
        if "LUT_3D_INPUT_RANGE" in values:
            if values.keys() & {"DOMAIN_MIN", "DOMAIN_MAX"}:
                why = "it has both LUT_3D_INPUT_RANGE and DOMAIN_MIN or DOMAIN_MAX"
                raise ModelError(str(path), why, "remove one of them")
            low, high = ([value] * 3 for value in values["LUT_3D_INPUT_RANGE"])
        domain = _numbers(low), _numbers(high)
        if not all(a < b for a, b in zip(*domain, strict=True)):
            why = f"its colours go from {' '.join(low)[:MAX_QUOTED]} to {' '.join(high)[:MAX_QUOTED]}"
            raise ModelError(str(path), why, "write it for colours from 0 to 1")
        title = next((line[5:].strip().strip('"') for line in lines if _keyword(line) == "TITLE"), "")
        return cls(size, *domain, title[:MAX_QUOTED])

    @property
    def is_usual(self) -> bool:
        """Whether the first node is for colour 0 and the last for colour 1, in each channel."""
        return set(self.low) == {0.0} and set(self.high) == {1.0}

    @property
    def nodes(self) -> int:
        """The nodes per side for colours 0 to 1: the file's number if nodes lie at 0 and 1, else ``MAX_SIZE``."""
        if self.is_usual:
            return self.size
        steps = np.array([(b - a) / (self.size - 1) for a, b in zip(self.low, self.high, strict=True)])
        counts = [*(1 / steps), *(np.array(self.low) / steps)]
        fits = len(set(steps)) == 1 and np.allclose(counts, np.rint(counts), atol=1e-6)
        return int(np.clip(round(counts[0]) + 1, 2, MAX_SIZE)) if fits else MAX_SIZE


def read_cube(path: Path) -> np.ndarray:
    """Read a 3D LUT as nodes for colours from 0 to 1, (n, n, n, 3) float64; the first axis is blue. Raises ModelError.

    Colours outside of the file's own range get the value of its first or last node.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ModelError(str(path), f"it is larger than {MAX_BYTES >> 20} MiB", "do not use this file")
    lines = _lines(_text(path.read_bytes()))
    head = _Head.read(lines, path)
    rows = [line for line in lines if NUMBER.match(line)]
    if len(rows) != head.size**3:
        raise ModelError(str(path), f"it has {len(rows)} colours instead of {head.size**3}", "write or copy it again")
    try:
        nodes = np.array([row.split() for row in rows], np.float64)
    except ValueError:
        raise ModelError(str(path), "a line is not a colour (three numbers)", "write or copy it again") from None
    if nodes.shape[1:] != (3,) or not np.isfinite(nodes).all():
        raise ModelError(str(path), "a line is not a colour (three numbers)", "write or copy it again")
    nodes = nodes.reshape(head.size, head.size, head.size, 3)
    return nodes if head.is_usual else _resampled(nodes, head)


def _resampled(nodes: np.ndarray, head: _Head) -> np.ndarray:
    """Return the nodes for colours from 0 to 1, interpolated along one axis after the other."""
    for axis, low, high in zip((2, 1, 0), head.low, head.high, strict=True):  # red is the last axis
        at = np.clip((np.linspace(0, 1, head.nodes) - low) / (high - low), 0, 1) * (head.size - 1)
        before = np.minimum(at.astype(int), head.size - 2)
        share = (at - before).reshape([-1 if i == axis else 1 for i in range(4)])
        nodes = np.take(nodes, before, axis) * (1 - share) + np.take(nodes, before + 1, axis) * share
    return nodes


def write_cube(path: Path, nodes: np.ndarray, title: str) -> None:
    """Write the nodes of a 3D LUT, (n, n, n, 3) in [0, 1] with blue as the first axis, atomically."""
    clean = "".join(c for c in title if c.isprintable() and c not in '"\\')
    head = f'TITLE "{clean}"\nLUT_3D_SIZE {len(nodes)}\nDOMAIN_MIN 0.0 0.0 0.0\nDOMAIN_MAX 1.0 1.0 1.0\n'
    rows = "\n".join(" ".join(f"{value:.{EXACT_DIGITS}f}" for value in colour) for colour in nodes.reshape(-1, 3))
    with write_atomically(path) as temporary:
        temporary.write_text(f"{head}{rows}\n", "ascii", "replace", newline="\n")


def _text(data: bytes) -> str:
    """Decode the bytes of a file, or of its beginning; a byte order mark is left out."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if wide else "utf-8", "replace").lstrip("\ufeff")


def _lines(text: str) -> list[str]:
    """Return the lines without comments and without empty lines; a # in a title begins no comment."""
    found = (
        line.strip() if _keyword(line) == "TITLE" else line.partition("#")[0].strip() for line in text.splitlines()
    )
    return [line for line in found if line]


def _keyword(line: str) -> str:
    return (line.split() or [""])[0].upper()


def _keywords(lines: list[str], path: Path) -> dict[str, list[str]]:
    """Return the values of the keywords. Raises ModelError for a line that is neither a keyword nor a colour."""
    found: dict[str, list[str]] = {}
    for line in lines:
        key, *values = line.split()
        key = key.upper()
        if NUMBER.match(line) or key == "TITLE":
            continue
        if KEYWORDS.get(key) != len(values) and key != "LUT_3D_SIZE":
            why = f"a line is not known here: '{line[:MAX_QUOTED]}'"
            raise ModelError(str(path), why, "export the table again, for full-range inputs from 0 to 1")
        if found.setdefault(key, values) != values:
            raise ModelError(str(path), f"it has two lines of {key}", "remove the wrong one")
    return found


def _numbers(texts: list[str]) -> tuple[float, ...]:
    """Parse three numbers. Infinite ones are NaN, and all three are if a text is no number."""
    try:
        return tuple(float(text) if math.isfinite(float(text)) else math.nan for text in texts)
    except ValueError:
        return (math.nan,) * 3
