"""Decode a picture file: its samples to 8 or 16 bits by one rule, its colours to sRGB, upright.

Samples. Whole numbers: 0 is black, the highest number of the format is white, and what is negative is black.
Floating-point samples: 0 is black, 1 is white; those of Radiance and PFM are light, as OpenEXR's, and get the curve of
sRGB. A header that names another white (PNM, PAM) is believed; a TIFF may declare that white is zero. Samples may use
fewer bits than their format has: see ``SampleRange.white``. A span of samples given by the user (``PictureView``)
replaces all of this.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.video.colour.tags import code_of_light
from vidtrans.video.images import tiff
from vidtrans.video.images.picture_header import PNG, PictureHeader

if TYPE_CHECKING:
    from PIL import Image

HOW_TO_FIX = "give a range of values behind its name, as in 'depth#=0..80'"
_SLACK = 1e-3
Span = tuple[float, float]
_TURNS = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
_MIRRORED = {2: 1, 4: 3, 5: 6, 7: 8}  # the turn that precedes mirroring left to right
_FEWER_BITS = (255, 1023, 4095)  # the white of 8, 10 and 12 bits, which are stored in 16
_WIDE = 2.0**24  # formats whose white is above hold samples of 8 or 16 bits
_LIGHT = ("HDR", "PFM")
_BY_PILLOW = ("TGA", "PCX", "SGI", "QOI")  # which OpenCV does not read
BEYOND = 1e9  # from which on a value stands for "nothing there"
SPECK = 9  # pixels: what a filter of 3x3 makes of one
NOT_FINITE = (
    "some of its values are no numbers (NaN or infinite): specks are filled from the pixels around them, "
    "larger areas become black, where infinite white"
)


@dataclass(frozen=True)
class PictureView:
    """The choice of a ``layer`` ('': the picture), and of a ``span`` of values, black to white.

    Written as LAYER=LOW..HIGH, LAYER, or =LOW..HIGH. Only OpenEXR has layers, which are read as data if there is a
    span; of other pictures it replaces the range of their samples' format.
    """

    layer: str = ""
    span: Span | None = None

    @classmethod
    def parse(cls, text: str, path: Path) -> PictureView:
        """Parse the text of a view; ``path``: the file, for the message. Raises MediaError."""
        layer, equals, span = text.partition("=")
        if not equals:
            return cls(layer)
        try:
            low, high = map(float, span.split(".."))
        except ValueError:
            low = high = math.nan
        if not -math.inf < low < high < math.inf:
            raise MediaError(str(path), f"'{span}' is not a range of values", "write it as LOW..HIGH: 0.5..80")
        return cls(layer, (low, high))

    def __str__(self) -> str:
        return self.layer + (f"={self.span[0]:.7g}..{self.span[1]:.7g}" if self.span else "")


PICTURE = PictureView()


def whole_span(low: float, high: float) -> Span:
    """Return the span to show data from ``low`` to ``high``: 0 to 1 or −1 to 1 if they lie in it, else their own."""
    for span in ((0.0, 1.0), (-1.0, 1.0)):
        if span[0] - _SLACK <= low and high <= span[1] + _SLACK:
            return span
    return (low, high) if low < high else (low, low + 1)


# OpenCV would print warnings about broken pictures, for which errors are raised.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True)
class SampleRange:
    """The range of samples as stored: the ``highest`` of their format, and the highest found, ``peak``.

    ``highest`` is 0 if white is known or formats differ, 1 for floating-point samples. ``is_whole``: all samples are
    whole numbers.
    """

    highest: float = 0
    peak: float = 0
    is_whole: bool = True

    def __or__(self, other: SampleRange) -> SampleRange:
        """Combine the ranges of two groups of pictures."""
        highest = self.highest if self.highest == other.highest else 0
        return SampleRange(highest, max(self.peak, other.peak), self.is_whole and other.is_whole)

    @property
    def white(self) -> float:
        """The sample that is white, if the samples clearly use fewer bits than are stored; else 0.

        A low peak alone is no evidence, as a night scene has one. A peak that is exactly the white of 8, 10 or 12 bits
        is, as highlights are clipped there. Numbers of 32 bits that fit into 8 or 16 have these, as do floating-point
        samples above 1 that are whole numbers.
        """
        is_float = self.highest == 1
        if not self.highest or not self.is_whole or (is_float and self.peak <= 1):
            return 0
        if self.peak in _FEWER_BITS and (is_float or self.highest >= 8 * self.peak):
            return self.peak
        whites = (255, 65535) if is_float or self.highest > _WIDE else ()
        return next((white for white in whites if 0 < self.peak <= white), 0)

    @property
    def note(self) -> str:
        """A note for the user on samples that may have fewer bits than are stored; '' for others."""
        fitting = (white for white in _FEWER_BITS if white / 4 <= self.peak <= white and self.highest >= 8 * white)
        meant = next(fitting, 0)
        if not meant or self.white:
            return ""
        text = f"samples up to {self.peak:,.0f}, and {self.highest:,.0f} is white"
        return f"{text}: if {meant:,} is, add '#=0..{meant}' to its name"


@dataclass(frozen=True)
class Still:
    """A decoded picture: (H, W, 3) RGB or (H, W, 4) RGBA, straight alpha, uint8 or uint16, sRGB, upright.

    ``values``: for data such as depth, the lowest and the highest value before their range was mapped to black and
    white; None for pictures. ``notes``: texts on the conversions, for the user. ``reading``: see ``Findings.reading``.
    """

    picture: np.ndarray
    samples: SampleRange = SampleRange()
    notes: tuple[str, ...] = ()
    values: tuple[float, float] | None = None
    reading: int = 0


def decode_still(data: np.ndarray, header: PictureHeader, span: Span | None = None) -> Still | None:
    """Decode a file's bytes, (N,) uint8; None if they are damaged. The caller has checked the picture's size.

    ``span``: the samples that are black and white; None: by the rule of this module.
    """
    stored = _by_profile(data, header)
    if stored is None:
        stored = _decode(data, header)
    return None if stored is None else still_of(stored, header, span)


def still_of(stored: np.ndarray, header: PictureHeader, span: Span | None = None) -> Still:
    """Return the picture of upright samples as stored, (H, W, 3 or 4) of any dtype; see ``decode_still``."""
    has_odd = False
    if stored.dtype.kind == "f" and not span:
        planes, odd = zip(*(fill_specks(plane) for plane in np.moveaxis(stored, 2, 0)), strict=True)
        stored, has_odd = np.stack(planes, axis=2), any(odd)
    samples, colours = SampleRange() if span else _samples(stored, header), header.colours
    picture = _codes(stored, header, span)
    if colours is not None and colours.convert is not None:
        rgb = colours.convert(np.ascontiguousarray(picture[..., :3]))
        picture = np.dstack([rgb, picture[..., 3:]]) if picture.shape[2] == 4 else rgb
    odd_note = NOT_FINITE if has_odd else ""
    notes = (_sample_note(stored.dtype, header, samples.peak, span), colours.note if colours else "", odd_note)
    reading = int((stored.shape[2] == 4 and header.orientation != 1) or _is_white_zero(stored.dtype, header))
    return Still(np.ascontiguousarray(picture), samples, tuple(note for note in notes if note), reading=reading)


def fill_specks(plane: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return a plane (H, W) of floats without specks of values that are no numbers, and whether it has such values.

    Renderers leave single pixels that are NaN or infinite, and filters make small squares of them. A speck of at most
    ``SPECK`` pixels gets the mean of the numbers around it; else one black or white pixel would become a mark in each
    painted frame. Larger areas remain as they are.
    """
    known = np.isfinite(plane) if plane.dtype == np.float16 else np.abs(plane) < BEYOND
    if known.all():
        return plane, False
    _, areas, stats, _ = cv2.connectedComponentsWithStats((~known).astype(np.uint8), connectivity=8)
    empty = (stats[:, cv2.CC_STAT_AREA] <= SPECK)[areas] & ~known
    whole = plane.astype(np.promote_types(plane.dtype, np.float32))
    filled = np.where(known, whole, 0)
    while True:  # from its border to its middle
        total, number = (
            cv2.boxFilter(each, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
            for each in (filled, known.astype(filled.dtype))
        )
        border = empty & (number > 0.5)
        if not border.any():
            return np.where(known, filled, whole), True
        filled[border] = total[border] / number[border]
        known, empty = known | border, empty & ~border


def _samples(stored: np.ndarray, header: PictureHeader) -> SampleRange:
    colours = stored[..., :3]
    if stored.dtype == np.uint8 or header.max_value or header.format in _LIGHT or stored.shape[2] == 4:
        return SampleRange()
    known = np.nan_to_num(colours, posinf=0, neginf=0)
    is_whole = stored.dtype.kind != "f" or bool((known == np.floor(known)).all())
    return SampleRange(native_white(stored.dtype), float(known.max()), is_whole)


def _by_profile(data: np.ndarray, header: PictureHeader) -> np.ndarray | None:
    """Convert a CMYK or Lab picture by its profile to sRGB, (H, W, 3) uint8; None for others, and if damaged."""
    if header.colours is None or header.colours.table is None:
        return None
    with _pillow(data, header) as picture:
        return None if picture is None else turned(header.colours.table.convert(picture), header.orientation)


def _decode(data: np.ndarray, header: PictureHeader) -> np.ndarray | None:
    """Return the samples as stored, (H, W, 3 or 4) of any dtype, straight alpha, upright; None where damaged."""
    # OpenCV returns the colours of an 8-bit TIFF premultiplied.
    if header.format == "PAM":
        return _arbitrary_map(data, header)
    if header.format in _BY_PILLOW or (header.format == "TIFF" and header.has_alpha and header.bits <= 8):
        return _by_pillow(data, header)
    is_usual = header.bits <= 16 and header.format not in _LIGHT and not header.has_alpha
    kind = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH if is_usual else cv2.IMREAD_UNCHANGED
    bgr = _by_opencv(data, kind | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None:  # maybe for channels beside the colours
        return _by_pillow(data, header) if header.format == "TIFF" and header.bits <= 8 else None
    channels = 1 if bgr.ndim == 2 else bgr.shape[2]
    if header.has_alpha and channels != 4:  # OpenCV ignores a colour that stands for transparency
        return _by_pillow(data, header)
    if channels == 1:
        picture = np.repeat(bgr.reshape(*bgr.shape[:2], 1), 3, axis=2)
    else:
        picture = bgr[..., [2, 1, 0, 3][:channels]]
    picture = _straight(picture) if header.premultiplied and channels == 4 else picture
    return picture if header.format == "TIFF" else turned(picture, header.orientation)  # OpenCV turns all TIFFs


def _arbitrary_map(data: np.ndarray, header: PictureHeader) -> np.ndarray | None:
    """Return the samples of a PAM, (H, W, 3 or 4) uint8 or uint16; None if it is cut short."""
    channels, kind = len(header.mode), np.dtype(">u2" if header.bits == 16 else np.uint8)
    pixels = data.tobytes().partition(b"ENDHDR\n")[2]
    shape = (header.height, header.width, channels)
    if len(pixels) < kind.itemsize * int(np.prod(shape)):
        return None
    picture = np.frombuffer(pixels, kind, int(np.prod(shape))).reshape(shape).astype(kind.newbyteorder("="))
    return picture if channels > 2 else picture[..., [0, 0, 0, 1][: 2 + channels]]


def _by_opencv(data: np.ndarray, kind: int) -> np.ndarray | None:
    """Return (H, W) or (H, W, C) of any dtype, in BGR; None where damaged."""
    if _is_cut_png(data):
        return None
    try:
        return cv2.imdecode(data, kind)
    except cv2.error:
        return None


def _by_pillow(data: np.ndarray, header: PictureHeader) -> np.ndarray | None:
    """Return (H, W, 3 or 4) uint8, upright; None where damaged."""
    with _pillow(data, header) as picture:
        if picture is None:
            return None
        return turned(np.array(picture.convert("RGBA" if header.has_alpha else "RGB")), header.orientation)


@contextmanager
def _pillow(data: np.ndarray, header: PictureHeader) -> Iterator[Image.Image | None]:
    """Open a picture, and decode it; None where it is damaged."""
    from PIL import Image

    content = data.tobytes()
    if header.format == "TIFF" and header.orientation != 1:  # Pillow turns it, and not rightly where sides are swapped
        content = tiff.without_orientation(content)
    with ExitStack() as stack:
        try:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            picture: Image.Image | None = stack.enter_context(Image.open(io.BytesIO(content)))
            assert picture is not None
            picture.load()
        except (OSError, ValueError, SyntaxError, EOFError):
            picture = None
        yield picture


def _straight(picture: np.ndarray) -> np.ndarray:
    """Convert (H, W, 4) uint16 from premultiplied to straight alpha."""
    alpha = np.maximum(picture[..., 3:], 1).astype(np.float64)
    colours = np.rint(np.minimum(picture[..., :3] * (65535 / alpha), 65535)).astype(picture.dtype)
    return np.dstack([colours, picture[..., 3]])


def native_white(dtype: np.dtype) -> float:
    """Return the sample that is white in a dtype by default: its highest integer, or 1.0."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0


def _is_white_zero(dtype: np.dtype, header: PictureHeader) -> bool:
    """Return whether low samples are still bright: OpenCV and Pillow invert those of 8 bits only."""
    return header.white_is_zero and dtype != np.uint8


def _codes(stored: np.ndarray, header: PictureHeader, span: Span | None) -> np.ndarray:
    """Convert samples (H, W, C) of any dtype to codes, uint8 or uint16; ``span`` None: as the header or dtype says."""
    white_is_zero = _is_white_zero(stored.dtype, header)
    if not span and not header.max_value and not white_is_zero and stored.dtype in (np.uint8, np.uint16):
        return stored
    black, white = span or (0.0, header.max_value or native_white(stored.dtype))
    scaled = (stored.astype(np.float64) - black) / (white - black)
    if white_is_zero:
        scaled[..., :3] = 1 - scaled[..., :3]
    unit = np.clip(np.nan_to_num(scaled, posinf=1, neginf=0), 0, 1).astype(np.float32)
    if header.format in _LIGHT:
        unit[..., :3] = code_of_light(unit[..., :3])
    kind = np.uint8 if stored.dtype == np.uint8 else np.uint16
    return np.rint(unit * np.float32(np.iinfo(kind).max)).astype(kind)


def _sample_note(dtype: np.dtype, header: PictureHeader, peak: float, span: Span | None) -> str:
    """Return a note for the user on how samples were converted to codes; '' for unsigned 8 and 16 bits."""
    if span and span[0] == 0:
        return f"samples up to {span[1]:,.7g}: that is white in all of its pictures"
    if span:
        return f"samples from {span[0]:,.7g} to {span[1]:,.7g}: black to white in all of its pictures"
    if header.format in _LIGHT:
        return "light: 1 is white, and what is brighter is clipped"
    if dtype in (np.uint8, np.uint16):
        return ""
    if dtype.kind == "f":
        beyond = ", and what is brighter is clipped" if peak > 1 else ""
        return f"floating-point samples: 0 is black, 1 is white{beyond}"
    sign = "signed " if dtype.kind == "i" else ""
    below = ", negative ones are black" if sign else ""
    return f"{sign}{8 * dtype.itemsize}-bit samples: 0 is black, {native_white(dtype):,.0f} is white{below}"


def turned(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Turn a stored picture upright; ``orientation``: EXIF's number, 1 to 8."""
    turn = _MIRRORED.get(orientation, orientation)
    if turn in _TURNS:
        picture = cv2.rotate(picture, _TURNS[turn])
    return picture[:, ::-1] if orientation in _MIRRORED else picture


def _is_cut_png(data: np.ndarray) -> bool:
    """Return whether a PNG chunk reaches beyond the file's end; OpenCV would allocate its full size, maybe 2 GB."""
    if data[: len(PNG)].tobytes() != PNG:
        return False
    at = len(PNG)
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4].tobytes()), data[at + 4 : at + 8].tobytes()
        if name == b"IEND":
            return False
        at += length + 12  # its length, its name and its checksum
    return at > len(data)
