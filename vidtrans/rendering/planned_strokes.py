"""The strokes of a planned render: the medium, its settings over time, and the pictures that direct it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vidtrans.clips.indexing import Clip, mask_digest
from vidtrans.clips.masks import Mask
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Size, Table
from vidtrans.curves.clock import CurveClock
from vidtrans.curves.data_files import digest_of_file
from vidtrans.rendering.directing import FrameCurve
from vidtrans.session import Context
from vidtrans.strokes.media import Medium, load_medium
from vidtrans.strokes.painter import VERSION, Painter
from vidtrans.strokes.settings import CURVES, StrokesSettings
from vidtrans.video.images.picture import picture_size, read_picture

COLOURS = 1  # version of the way in which pictures come to the colours of a palette
SEEN = Size(short=540)  # what a painter sees of a source by default: its strokes are larger than finer detail


@dataclass(frozen=True)
class PlannedStrokes:
    """A medium with its settings; ``fine``: the mask of fine strokes; ``digests``: of pictures, by their settings."""

    medium: Medium
    settings: StrokesSettings
    fine: Mask | None = None
    digests: Table = field(default_factory=dict)

    @classmethod
    def open(
        cls, settings: StrokesSettings, clip: Clip, first: int, stop: int, context: Context
    ) -> PlannedStrokes | None:
        """Return the strokes on the frames [first, stop) of a clip; None without. Raises UsageError, MediaError."""
        if not settings.medium:
            return None
        if (palette := settings.pictures.get("palette")) and not np.ptp(read_picture(palette), axis=(0, 1)).any():
            raise UsageError(f"--palette {palette}", "it is of one colour", "give a picture with several")
        mask = settings.fine_mask
        fine = Mask.open(mask, clip, first, stop, context) if mask else None
        return cls(load_medium(settings.medium), settings, fine, _digests(settings, context))

    def for_key(self, curves: Mapping[str, FrameCurve]) -> Table:
        """Return the values that affect the painted pictures, for cache keys. ``curves``: of the settings."""
        return _key(self.medium, self.settings) | {
            "curves": {name: curve.for_key() for name, curve in curves.items()},
            **self.digests,
            **({"fine": self.fine.for_key()} if self.fine else {}),
        }

    def painter(self, size: tuple[int, int], threads: int) -> Painter:
        """Return a painter of pictures of a (width, height). Raises MediaError."""
        file = self.settings.pictures.get("directions")
        directions = None if file is None else read_picture(file)
        return Painter(self.medium, self.settings, size, threads, directions)

    def warm_up(self, *, deep: bool) -> None:
        """Compile what paints, which may take seconds, by painting a small picture; ``deep``: of 16 bits a channel."""
        picture = np.zeros((32, 32, 3), np.uint16 if deep else np.uint8)
        painter = self.painter((32, 32), 1)
        painter.paint(0, picture.astype(np.uint8), picture, dict.fromkeys(CURVES, 1.0), starts_shot=True)


def stroke_curves(settings: StrokesSettings, clock: CurveClock) -> dict[str, FrameCurve]:
    """Return the values of strokes over the frames of a clip, by name; {} without strokes."""
    curves = settings.curves().items() if settings.medium else ()
    return {
        name: FrameCurve(curve, clock, f"strokes.{name}", high=CURVES[name][1], low=CURVES[name][0])
        for name, curve in curves
    }


def strokes_digest(settings: StrokesSettings, context: Context) -> Table:
    """Return what affects the strokes of a result, for its record; {} without. Raises UsageError, MediaError."""
    if not settings.medium:
        return {}
    key = _key(load_medium(settings.medium), settings) | _digests(settings, context)
    key["curves"] = {name: str(curve) for name, curve in settings.curves().items()}
    key["files"] = [digest_of_file(path) for path in settings.curve_files()]
    return {"strokes": key | ({"fine": mask_digest(context, mask)} if (mask := settings.fine_mask) else {})}


def _key(medium: Medium, settings: StrokesSettings) -> Table:
    return {"medium": medium.digest, "version": [VERSION, COLOURS], "settings": settings.for_key()}


def _digests(settings: StrokesSettings, context: Context) -> Table:
    for file in settings.pictures.values():
        picture_size(file)  # raises if it is no picture
    return {name: context.cache.digest(file) for name, file in settings.pictures.items()}
