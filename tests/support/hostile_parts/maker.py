"""Where hostile files go, and what is said of each."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Hostile:
    """A file, or a folder, that must do no harm.

    Attributes:
        name: What is wrong with it, unique.
        path: Where it is: in a folder of its own.
        says: A word that the one line of its refusal should contain, in any case; empty for any line.
        refused: Whether it must be refused; else it may also be taken for what it pretends to be.
    """

    name: str
    path: Path
    says: str = ""
    refused: bool = True


@dataclass
class Maker:
    """Make hostile files, each in a folder of its own within ``folder``; code in them that runs makes ``marker``."""

    folder: Path
    marker: Path
    entries: list[Hostile] = field(default_factory=list)

    def add(
        self,
        name: str,
        content: bytes | Callable[[Path], object],
        file: str = "latest_net_G.pth",
        says: str = "",
        refused: bool = True,
    ) -> None:
        """Make one: ``content`` is its bytes, or makes what is at the path. A system that cannot leaves it out."""
        words = re.sub(r"[^a-z0-9]+", "-", name.lower())[:60].strip("-")
        path = self.folder / f"{len(self.entries):03}-{words}" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(content) if isinstance(content, bytes) else content(path)
        except (OSError, NotImplementedError):  # a system without links, queues or holes in files
            return
        self.entries.append(Hostile(name, path, says, refused))


def make_queue(path: Path) -> None:
    """Make a named queue, which blocks whoever opens it."""
    if not hasattr(os, "mkfifo"):
        raise OSError("no named queues")
    os.mkfifo(path)
