"""Looks that ship, as model files, for benchmarks that take models."""

from __future__ import annotations

from pathlib import Path

from vidtrans.models.at_once import model_at_once
from vidtrans.models.gallery import gallery_looks
from vidtrans.models.look_pictures import parse_pictures
from vidtrans.session import Context


def model_named(name: str, cache: Path) -> str:
    """Return a model's name or file; of a look that ships, the file that is made of it in ``cache``."""
    if name not in gallery_looks():
        return name
    return str(model_at_once(parse_pictures(name), Context(cache_dir=cache)).path)
