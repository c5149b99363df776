"""The brush strokes of a planned render: the painting medium (oil, ink …), its settings over time, and its pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.masks import MaskOfClip
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Size, Table
from vidtrans.curves.curve import CurveClock
from vidtrans.curves.tracks import digest_value_file
from vidtrans.grading.transfer import AffineColours, affine_colours
from vidtrans.masking.found_masks import mask_digest, open_mask
from vidtrans.models.loaded_model import OWN_SIZES, LoadedModel
from vidtrans.pipeline.stage import FrameValues
from vidtrans.session import Context
from vidtrans.strokes.media import load_medium
from vidtrans.strokes.medium import MAX_SIDE_PX, VERSION, Medium
from vidtrans.strokes.settings import CURVES, StrokesSettings
from vidtrans.upscaling.array_pictures import size_of
from vidtrans.video.images.picture import picture_size, read_picture, resize

if TYPE_CHECKING:
    from vidtrans.strokes.painter import StrokePainter

PALETTE_VERSION = 1  # Version of the mapping from a picture's colours to those of a palette, for cache keys
# A stream's colours are learned from every ``SAMPLE_STEP``-th picture, and from the last ``MAX_SAMPLES`` of these
SAMPLE_STEP, MAX_SAMPLES = 8, 32
SAMPLE_SIDE = 48  # Short side, in pixels, of the pictures from which colours are learned


@dataclass(frozen=True)
class PlannedStrokes:
    """The strokes of a planned render: a painting medium (oil, ink …) with its settings.

    ``fine``: the mask of the areas with fine strokes. ``digests``: the digests of the settings' picture files (palette,
    stroke directions), by setting.
    """

    medium: Medium
    settings: StrokesSettings
    fine: MaskOfClip | None = None
    digests: Table = field(default_factory=dict)

    @classmethod
    def open(
        cls, settings: StrokesSettings, clip: Clip, first: int, stop: int, context: Context
    ) -> PlannedStrokes | None:
        """Load the painting medium and masks for the frames [first, stop) of a clip; None without a painting medium.

        Raises UsageError, MediaError.
        """
        if not settings.medium:
            return None
        if palette := settings.pictures.get("palette"):
            _read_palette(palette)
        mask = settings.fine_mask
        fine = open_mask(mask, clip, first, stop, context) if mask else None
        return cls(load_medium(settings.medium), settings, fine, _digests(settings, context))

    def for_key(self, values: FrameValues) -> Table:
        """Return the properties that affect painted pictures, for cache keys. ``values``: settings in each frame."""
        return _key(self.medium, self.settings) | {
            "curves": values.for_key(),
            **self.digests,
            **({"fine": self.fine.for_key()} if self.fine else {}),
        }

    def painter(self, size: tuple[int, int], threads: int) -> StrokePainter:
        """Create a painter of pictures of ``size``, (width, height). Raises MediaError, VidtransError without Numba."""
        from vidtrans.strokes.painter import StrokePainter  # Numba takes most of a second to import

        file = self.settings.pictures.get("directions")
        directions = None if file is None else read_picture(file)
        return StrokePainter(self.medium, self.settings, size, threads, directions)

    def warm_up(self, *, deep: bool) -> None:
        """Compile the painter, which may take seconds, by painting a small picture. ``deep``: 16 bits a channel."""
        picture = np.zeros((32, 32, 3), np.uint16 if deep else np.uint8)
        painter = self.painter((32, 32), 1)
        painter.paint(0, picture.astype(np.uint8), picture, dict.fromkeys(CURVES, 1.0), starts_shot=True)


class StreamStrokes:
    """A painter of strokes for streams and single frames, which have no clip.

    Without a painting ``medium`` it is not called. A palette replaces the colours of the last painted pictures, or of
    the pictures given to ``learn``. ``why``: the reason in the error about settings that need a clip. Raises
    UsageError, MediaError.
    """

    def __init__(self, settings: StrokesSettings, clock: CurveClock, why: str) -> None:
        self._settings, self._values = settings, FrameValues(settings, clock, None if settings.medium else ())
        self.medium = load_medium(settings.medium) if settings.medium else None
        if self.medium is not None and settings.fine:
            raise UsageError("strokes.fine", why, "leave it out")
        palette = settings.pictures.get("palette") if self.medium is not None else None
        self._palette = None if palette is None else _small(_read_palette(palette))
        self._samples: deque[np.ndarray] = deque(maxlen=MAX_SAMPLES)
        self._count = 0  # Number of painted pictures
        self._colours: AffineColours | None = None
        self._painter: StrokePainter | None = None

    def learn(self, pictures: Iterable[np.ndarray]) -> None:
        """Fix the colour map of later pictures: from the colours of ``pictures``, (H, W, 3) each, to the palette's."""
        if self._palette is not None:
            self._colours, self._samples = affine_colours(map(_small, pictures), [self._palette]), deque(maxlen=0)

    def size_seen(self, model: LoadedModel, wanted: str, source: tuple[int, int]) -> tuple[int, int]:
        """Return a model's working (width, height) for a ``source`` (width, height); ``wanted``: ``rendering.size``."""
        return working_size(model, wanted, source, is_painted=self.medium is not None)

    def __call__(
        self,
        index: int,
        guide: np.ndarray,
        picture: np.ndarray,
        size: tuple[int, int],
        moved: Mapping[str, float] | None = None,
        *,
        starts_shot: bool,
    ) -> np.ndarray:
        """Paint the next picture at ``size``, (width, height); see ``StrokePainter.paint``.

        ``moved``: values that override the stroke settings, by name.
        """
        assert self.medium is not None
        if self._palette is not None and self._samples.maxlen and self._count % SAMPLE_STEP == 0:
            self._samples.append(_small(picture))
            self._colours = affine_colours(self._samples, [self._palette])
        self._count += 1
        picture = picture if self._colours is None else self._colours.on_picture(picture)
        if self._painter is None or self._painter.size != size:
            plan = PlannedStrokes(self.medium, self._settings)
            self._painter, starts_shot = plan.painter(size, 0), True
        values = self._values(index) | dict(moved or {})
        return self._painter.paint(index, guide, picture, values, starts_shot=starts_shot)


def _read_palette(palette: Path) -> np.ndarray:
    """Read the picture of a palette. Raises UsageError if it has one colour, MediaError if it is not a picture."""
    picture = read_picture(palette)
    if not np.ptp(picture, axis=(0, 1)).any():
        raise UsageError(f"--palette {palette}", "it is of one colour", "give a picture with several")
    return picture


def _small(picture: np.ndarray) -> np.ndarray:
    """Shrink a picture, (H, W, 3), to a short side of at most ``SAMPLE_SIDE`` pixels."""
    return resize(picture, *Size(short=SAMPLE_SIDE).of(*size_of(picture)))


def working_size(model: LoadedModel, wanted: str, source: tuple[int, int], *, is_painted: bool) -> tuple[int, int]:
    """Return a model's working (width, height) for a ``source`` (width, height); ``wanted``: ``rendering.size``.

    ``is_painted``: strokes are painted from the model's pictures.
    """
    if is_painted and model.is_identity and wanted in OWN_SIZES:
        return Size(short=MAX_SIDE_PX).of(*source)
    return model.working_size(wanted, source)


def strokes_digest(settings: StrokesSettings, context: Context) -> Table:
    """Return the properties that affect the strokes, for a result's record; {} without a painting medium.

    Raises UsageError, MediaError.
    """
    if not settings.medium:
        return {}
    key = _key(load_medium(settings.medium), settings) | _digests(settings, context)
    key["curves"] = {name: str(curve) for name, curve in settings.curves().items()}
    key["files"] = [digest_value_file(path) for path in settings.curve_files()]
    return {"strokes": key | ({"fine": mask_digest(context, mask)} if (mask := settings.fine_mask) else {})}


def _key(medium: Medium, settings: StrokesSettings) -> Table:
    """Return the painting medium, its settings and the versions of the painter's arithmetic, for cache keys."""
    return {"medium": medium.digest, "version": [VERSION, PALETTE_VERSION], "settings": settings.for_key()}


def _digests(settings: StrokesSettings, context: Context) -> Table:
    """Return the digest of each picture file of the settings, by setting. Raises MediaError if a file is no picture."""
    for file in settings.pictures.values():
        picture_size(file)  # Raises MediaError if it is not a picture
    return {name: context.cache.digest(file) for name, file in settings.pictures.items()}
