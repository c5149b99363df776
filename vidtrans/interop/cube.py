"""3D LUTs as ``.cube`` files, which editing programs and ffmpeg read (Adobe, Cube LUT Specification 1.0)."""

from __future__ import annotations

import re
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
SIZE_LINE = re.compile(rb"(?m)^\s*LUT_(?:3D|1D)_SIZE\s+[0-9]{1,6}\s*$")
NUMBER = re.compile(r"[+-]?[0-9.]")
EXACT_DIGITS = 7  # after the point: float32


class CubeFormat(ModelFormat):
    """The model format for ``.cube`` files: 3D LUTs for grading, of any program. ``vidtrans grade`` writes them."""

    suffixes: ClassVar[tuple[str, ...]] = (SUFFIX,)

    def detect(self, path: Path) -> bool:
        """Return whether the first bytes are text with the size of a LUT."""
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        return b"\0" not in head and SIZE_LINE.search(head.replace(b"\r", b"\n")) is not None

    def read_record(self, path: Path) -> ModelRecord:
        """Return a record of a colour map with the file's size and title. Raises ModelError."""
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES).decode("utf-8", "replace")
        lines = _lines(head)
        size, title = _size_of(lines, path), _title_of(lines)
        return ModelRecord(
            generator={"name": "colour-map", "settings": {"size": size}},
            pairing={"name": "grade", "settings": {}},
            in_channels=3,
            out_channels=3,
            size=256,
            normalisation=NORMALISATION,
            training={},
            card={"notes": title} if title else {},
        )

    def load(self, path: Path) -> tuple[Any, ModelRecord]:
        """Build the colour map with the file's nodes; return it with its record. Raises ModelError."""
        from vidtrans.networks.colour_map import ColourMap, ColourMapSettings

        record = self.read_record(path)
        generator = ColourMap(3, 3, ColourMapSettings(record.generator["settings"]["size"]))
        generator.set_nodes(read_cube(path))
        return generator, record


def read_cube(path: Path) -> np.ndarray:
    """Read the nodes of a 3D LUT, (n, n, n, 3) float64; the first axis is blue. Raises ModelError."""
    if path.stat().st_size > MAX_BYTES:
        raise ModelError(str(path), f"it is larger than {MAX_BYTES >> 20} MiB", "do not use this file")
    lines = _lines(path.read_text("utf-8", "replace"))
    size = _size_of(lines, path)
    rows = [line for line in lines if NUMBER.match(line)]
    if len(rows) != size**3:
        raise ModelError(str(path), f"it has {len(rows)} colours instead of {size**3}", "write or copy it again")
    try:
        nodes = np.array([row.split() for row in rows], np.float64)
    except ValueError:
        raise ModelError(str(path), "a line is not a colour (three numbers)", "write or copy it again") from None
    if nodes.shape[1:] != (3,) or not np.isfinite(nodes).all():
        raise ModelError(str(path), "a line is not a colour (three numbers)", "write or copy it again")
    return nodes.reshape(size, size, size, 3)


def write_cube(path: Path, nodes: np.ndarray, title: str) -> None:
    """Write the nodes of a 3D LUT, (n, n, n, 3) in [0, 1] with blue as the first axis, atomically."""
    clean = "".join(c for c in title if c.isprintable() and c not in '"\\')
    head = f'TITLE "{clean}"\nLUT_3D_SIZE {len(nodes)}\nDOMAIN_MIN 0.0 0.0 0.0\nDOMAIN_MAX 1.0 1.0 1.0\n'
    rows = "\n".join(" ".join(f"{value:.{EXACT_DIGITS}f}" for value in colour) for colour in nodes.reshape(-1, 3))
    with write_atomically(path) as temporary:
        temporary.write_text(f"{head}{rows}\n", "ascii", "replace", newline="\n")


def _lines(text: str) -> list[str]:
    """Return the lines without empty lines and comments."""
    return [line for raw in text.splitlines() if (line := raw.strip()) and not line.startswith("#")]


def _values(lines: list[str], key: str) -> list[str] | None:
    return next((line.split()[1:] for line in lines if line.split()[0] == key), None)


def _size_of(lines: list[str], path: Path) -> int:
    """Return the number of nodes per side. Raises ModelError unless it is a 3D LUT over the domain 0 to 1."""
    if _values(lines, "LUT_1D_SIZE"):
        raise ModelError(str(path), "it is a 1D LUT (curves for single channels)", "write it as a 3D LUT (LUT_3D_SIZE)")
    given = _values(lines, "LUT_3D_SIZE") or [""]
    size = int(given[0]) if given[0].isdecimal() and len(given[0]) < 6 else 0
    if not 2 <= size <= MAX_SIZE:
        why = f"its LUT_3D_SIZE is '{given[0][:MAX_QUOTED]}'"
        raise ModelError(str(path), why, f"write it with 2 to {MAX_SIZE} nodes per side: 33 is usual")
    for key, wanted in (("DOMAIN_MIN", 0.0), ("DOMAIN_MAX", 1.0)):
        found = _values(lines, key)
        if found is not None and not _are_all(found, wanted):
            raise ModelError(str(path), f"its {key} is not {wanted:g}", "write it for colours from 0 to 1")
    return size


def _are_all(texts: list[str], wanted: float) -> bool:
    try:
        return len(texts) == 3 and all(float(text) == wanted for text in texts)
    except ValueError:
        return False


def _title_of(lines: list[str]) -> str:
    title = next((line[5:].strip().strip('"') for line in lines if line.split()[0] == "TITLE"), "")
    return title[:MAX_QUOTED]
