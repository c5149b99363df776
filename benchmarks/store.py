"""A folder of results of earlier runs: pictures and tables, by a digest of all that decides them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def digest(*parts: np.ndarray | bytes | str) -> str:
    """Return a digest of arrays, with their shapes, and texts, in order."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype}{part.shape}".encode())
            found.update(np.ascontiguousarray(part))
        else:
            found.update(part.encode() if isinstance(part, str) else part)
        found.update(b"|")
    return found.hexdigest()[:20]


def source_digest(files: Iterable[Path]) -> str:
    """Return a digest of source files: what they made is made again when they change."""
    return digest(*(file.read_bytes() for file in sorted(files)))


def tell(text: str) -> None:
    """Show what is under way, in one line of the terminal that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class Store:
    """A folder of results. An entry appears under its name when it is complete."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pictures(self, name: str, key: str, make: Callable[[], Sequence[np.ndarray]]) -> list[np.ndarray]:
        """Return pictures of one size, uint8; make them if they are not there."""
        kept = self._place(name, key, ".npz")
        if kept.exists():
            with np.load(kept) as held:
                return list(held["pictures"])
        made = list(make())
        part = kept.with_suffix(f".{os.getpid()}.part.npz")
        np.savez(part, pictures=np.stack(made))
        part.replace(kept)
        return made

    def table(self, name: str, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a table as JSON has it; make it if it is not there."""
        kept = self._place(name, key, ".json")
        if kept.exists():
            held: dict[str, Any] = json.loads(kept.read_text())
            return held
        made = make()
        part = kept.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(made, indent=1))
        part.replace(kept)
        return made

    def _place(self, name: str, key: str, suffix: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{name}-{key}{suffix}"
