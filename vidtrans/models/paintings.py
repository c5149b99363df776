"""Looks of paintings that ship: models that 'vidtrans look' has learned, by name for ``--look`` and ``--model``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from vidtrans.core.files import PACKAGE
from vidtrans.strokes.media import medium_names

FOLDER = PACKAGE / "assets" / "paintings"  # A model and a sample picture, a JPEG file, for each painting
SUFFIX = ".safetensors"


@cache
def painting_names() -> tuple[str, ...]:
    """Return the names of the paintings whose looks ship, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}")))


def shipped_looks() -> tuple[str, ...]:
    """Return the names that ``--look`` accepts without a file: of paintings and of media."""
    return (*painting_names(), *medium_names())


def painting_model(name: str) -> Path:
    """Return the model's file of a painting, one of ``painting_names``."""
    return FOLDER / f"{name}{SUFFIX}"


def painting_picture(name: str) -> Path | None:
    """Return the path of a film's frame in the look of a painting, a JPEG file; None if there is none of this name."""
    path = FOLDER / f"{name}.jpg"
    return path if name in painting_names() and path.is_file() else None
