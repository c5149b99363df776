"""Media: what a film is painted with, each a TOML file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vidtrans.core.files import PACKAGE
from vidtrans.core.registry import unknown_name

FOLDER = PACKAGE / "assets" / "media"


@cache
def medium_names() -> tuple[str, ...]:
    """Return the names of the media that ship."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@dataclass(frozen=True)
class Medium:
    """A medium that was read from a file. ``digest``: of everything that affects its pictures."""

    name: str
    digest: str


def load_medium(name: str, folder: Path = Path()) -> Medium:
    """Return a medium by its name, or of a TOML file or a brush (PNG) in ``folder``. Raises UsageError."""
    if name not in medium_names():
        raise unknown_name("medium", name, medium_names())
    return Medium(name, name)
