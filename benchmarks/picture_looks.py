"""Looks of pictures that ship, as model files, for benchmarks that take models."""

from __future__ import annotations

from pathlib import Path

from vidtrans.models.at_once import predict_model_from_pictures
from vidtrans.models.look_pictures import parse_pictures
from vidtrans.session import Context
from vidtrans.training.look_lesson import FRAMES
from vidtrans.video.io.picture_paths import is_picture

STYLES = ("landscape", "coffee", "chelsea")


def model_named(name: str, cache: Path) -> str:
    """Return a model's name or file; of a picture or one of ``STYLES``, the file that is made of it in ``cache``."""
    picture = str(FRAMES / f"{name}.jpg") if name in STYLES else name
    if not is_picture(Path(picture)):
        return name
    return str(predict_model_from_pictures(parse_pictures(picture), Context(cache_dir=cache)).path)
