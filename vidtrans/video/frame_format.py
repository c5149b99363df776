"""Define the format in which readers return frames, the suffixes and size limits of pictures, and areas of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import SOURCE_SIZE, Size

# Default background colours of transparent pixels, RGB: white for pictures, black for videos.
PAPER, BLACK = (255, 255, 255), (0, 0, 0)
# Suffixes of the picture formats that vidtrans reads.
PICTURE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".exr", ".tga", ".jp2", ".j2k", ".hdr"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm", ".qoi", ".pcx", ".sgi"),
)
FRAME_SUFFIXES = (*PICTURE_SUFFIXES, ".avif")  # Suffixes of pictures in a folder; a single AVIF file is read as a video
# HEIC and GIF files are read as videos; in a folder of frames they are refused (``UNSUPPORTED_FRAMES``).
# Suffixes of picture formats that vidtrans does not read.
UNSUPPORTED_SUFFIXES = (
    *(".dpx", ".cin", ".ari", ".psd", ".psb", ".kra", ".xcf", ".ora", ".clip", ".procreate", ".jxl", ".mpo", ".svg"),
    *(".pdf", ".ai", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".r3d", ".braw"),
)
# Suffixes of files that are refused in a folder of frames.
UNSUPPORTED_FRAMES = (*UNSUPPORTED_SUFFIXES, ".heic", ".heif", ".gif")
MAX_PIXELS = 8192 * 8192  # Most pixels of a picture; larger ones are refused before memory is allocated
MAX_PICTURE_BYTES = 512 * 1024 * 1024  # Largest length of a picture file
MIN_AREA_SIDE_PX = 16  # Shortest side of an ``Area`` in pixels


@dataclass(frozen=True)
class FrameFormat:
    """The format in which readers return frames.

    ``size``: of the upright picture. ``deep``: 16 bits per channel instead of 8. ``alpha``: how transparency is
    handled. "laid": the picture is composited over ``background`` (None: white for pictures, black for videos). "kept":
    straight colours, ``background`` where alpha is 0, and alpha as a separate array. "matte": alpha as a grey picture
    if anything in the clip is transparent, else as "laid".
    """

    size: Size = SOURCE_SIZE
    deep: bool = False
    alpha: Literal["laid", "kept", "matte"] = "laid"
    background: tuple[int, int, int] | None = None

    @property
    def transparency(self) -> str:
        """The handling of transparency as text, for cache keys."""
        return f"{self.alpha} {self.background or 'usual'}"


DEFAULT_FORMAT = FrameFormat()  # The source's size, 8 bits, without alpha


@dataclass(frozen=True)
class Area:
    """A rectangle of a picture, in pixels; ``x`` and ``y``: its top left corner."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Area:
        """Parse a text 'X,Y,WIDTH,HEIGHT'. Raises UsageError."""
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts):
            remedy = "give four whole numbers of pixels, such as 100,50,400,300"
            raise UsageError(f"--crop {text}", "it is not X,Y,WIDTH,HEIGHT", remedy)
        area = cls(*map(int, parts))
        if min(area.width, area.height) < MIN_AREA_SIDE_PX:
            raise UsageError(
                f"--crop {text}", "it is too small for strokes", f"give at least {MIN_AREA_SIDE_PX}x{MIN_AREA_SIDE_PX}"
            )
        return area

    def within(self, name: str, width: int, height: int) -> tuple[slice, slice]:
        """Return the rows and columns of the area in a picture or clip called ``name``.

        Raises UsageError if the area is not inside.
        """
        if self.x + self.width > width or self.y + self.height > height:
            what = f"--crop {self.x},{self.y},{self.width},{self.height}"
            raise UsageError(what, f"{name} has {width}x{height} pixels", "give an area inside")
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)
