"""Decode a picture file: convert its samples to 8 or 16 bits, its colours to sRGB, and its orientation to upright.

Integer samples: 0 is black, the highest number of the format is white, and negative numbers are black. Floating-point
samples: 0 is black, 1 is white; those of Radiance and PFM are linear light, as OpenEXR's, and are converted by the sRGB
curve. If a header states another white (PNM, PAM), that is used; a TIFF may declare that white is zero. Samples may use
fewer bits than their format has: see ``SampleRange.white``. A span of samples given by the user (``PictureView``)
replaces all of these rules.
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
from vidtrans.video.colour.conversion import straight
from vidtrans.video.colour.tags import code_of_light
from vidtrans.video.images import tiff
from vidtrans.video.images.picture_header import PNG, PictureHeader

if TYPE_CHECKING:
    from PIL import Image

# The remedy in messages on data read as a picture.
SPAN_REMEDY = "give a range of values behind its name, as in 'depth#=0..80'"
_SPAN_TOLERANCE = 1e-3  # Excess beyond 0 to 1, or −1 to 1, up to which that span is used and values are clipped
Span = tuple[float, float]  # Sample values that are black and white
# OpenCV's rotations by EXIF orientation.
_ROTATIONS = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
_MIRRORED = {2: 1, 4: 3, 5: 6, 7: 8}  # Orientation before the left-right mirror, by EXIF orientation with a mirror
_PADDED_WHITES = (255, 1023, 4095)  # White values of samples of 8, 10 and 12 bits, which are stored in 16
# Highest white of sample formats that use their whole range; 32-bit integers usually hold 8 or 16 bits
_MAX_PRECISE_WHITE = 2.0**24
_LIGHT_FORMATS = ("HDR", "PFM")  # Formats of linear light
_PILLOW_FORMATS = ("TGA", "PCX", "SGI", "QOI")  # Formats that Pillow decodes, because OpenCV does not
MAX_VALID_VALUE = 1e9  # Highest valid value; renderers write higher ones where there is no object
MAX_SPECK_PIXELS = 9  # Most pixels of a speck: a 3x3 filter makes 9 invalid pixels of one
# Note for the user on pictures with invalid values.
INVALID_VALUES_NOTE = (
    "some of its values are no numbers (NaN or infinite): specks are filled from the pixels around them, "
    "larger areas become black, where infinite white"
)


@dataclass(frozen=True)
class PictureView:
    """The layer of a picture to read ('': the picture), and the ``span`` of values from black to white.

    Written as LAYER=LOW..HIGH, LAYER, or =LOW..HIGH. Only OpenEXR has layers, which are read as data if there is a
    span. In other pictures the span replaces the range of their sample format.
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
        """Return the text that ``parse`` reads."""
        return self.layer + (f"={self.span[0]:.7g}..{self.span[1]:.7g}" if self.span else "")


PICTURE = PictureView()  # The whole picture, without a layer name or a span


def default_span(low: float, high: float) -> Span:
    """Return the span of black and white for data from ``low`` to ``high``: 0 to 1, or −1 to 1, if it contains them.

    Otherwise it is ``low`` to ``high`` itself.
    """
    for span in ((0.0, 1.0), (-1.0, 1.0)):
        if span[0] - _SPAN_TOLERANCE <= low and high <= span[1] + _SPAN_TOLERANCE:
            return span
    return (low, high) if low < high else (low, low + 1)


# Silence OpenCV's warnings about damaged pictures, for which errors are raised here.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True)
class SampleRange:
    """The range of stored samples: the ``highest`` of their format, and the highest in the pictures, ``peak``.

    ``highest`` is 0 if white is known or formats differ, and 1 for floating-point samples. ``is_whole``: all samples
    are whole numbers.
    """

    highest: float = 0
    peak: float = 0
    is_whole: bool = True

    def __or__(self, other: SampleRange) -> SampleRange:
        """Return the common range of two pictures of a clip."""
        highest = self.highest if self.highest == other.highest else 0
        return SampleRange(highest, max(self.peak, other.peak), self.is_whole and other.is_whole)

    @property
    def white(self) -> float:
        """The sample that is white, if the samples clearly use fewer bits than are stored; else 0.

        A low peak alone is no evidence, as a night scene has one. A peak that is exactly the white of 8, 10 or 12 bits
        is evidence, as highlights are clipped there. Numbers of 32 bits that fit into 8 or 16 have 8 or 16, and so do
        floating-point samples above 1 that are whole numbers.
        """
        is_float = self.highest == 1
        if not self.highest or not self.is_whole or (is_float and self.peak <= 1):
            return 0
        if self.peak in _PADDED_WHITES and (is_float or self.highest >= 8 * self.peak):
            return self.peak
        whites = (255, 65535) if is_float or self.highest > _MAX_PRECISE_WHITE else ()
        return next((white for white in whites if 0 < self.peak <= white), 0)

    @property
    def note(self) -> str:
        """A note for the user on samples that may use fewer bits than are stored; '' otherwise."""
        likely = (white for white in _PADDED_WHITES if white / 4 <= self.peak <= white and self.highest >= 8 * white)
        likely_white = next(likely, 0)
        if not likely_white or self.white:
            return ""
        text = f"samples up to {self.peak:,.0f}, and {self.highest:,.0f} is white"
        return f"{text}: if {likely_white:,} is, add '#=0..{likely_white}' to its name"


@dataclass(frozen=True)
class Still:
    """A decoded picture: (H, W, 3) RGB or (H, W, 4) RGBA, straight alpha, uint8 or uint16, sRGB, upright.

    ``values``: for data such as depth, the lowest and the highest value before the mapping to black and white; None for
    pictures. ``notes``: texts on the conversions, for the user. ``reading``: see ``Findings.reading``.
    """

    picture: np.ndarray
    samples: SampleRange = SampleRange()
    notes: tuple[str, ...] = ()
    values: tuple[float, float] | None = None
    reading: int = 0


def decode_still(data: np.ndarray, header: PictureHeader, span: Span | None = None) -> Still | None:
    """Decode a file's bytes, (N,) uint8; None if they are damaged. The caller has checked the picture's size.

    ``span``: the samples that are black and white; None: by the rules of this module.
    """
    stored = _decode_by_profile(data, header)
    if stored is None:
        stored = _decode(data, header)
    return None if stored is None else convert_samples(stored, header, span)


def convert_samples(stored: np.ndarray, header: PictureHeader, span: Span | None = None) -> Still:
    """Convert upright samples as stored, (H, W, 3 or 4) of any dtype, to a picture.

    ``span``: as in ``decode_still``.
    """
    has_invalid = False
    if stored.dtype.kind == "f" and not span:
        planes, invalid = zip(*(fill_specks(plane) for plane in np.moveaxis(stored, 2, 0)), strict=True)
        stored, has_invalid = np.stack(planes, axis=2), any(invalid)
    samples, colours = SampleRange() if span else _sample_range(stored, header), header.colours
    picture = _samples_to_codes(stored, header, span)
    if colours is not None and colours.convert is not None:
        rgb = colours.convert(np.ascontiguousarray(picture[..., :3]))
        picture = np.dstack([rgb, picture[..., 3:]]) if picture.shape[2] == 4 else rgb
    invalid_note = INVALID_VALUES_NOTE if has_invalid else ""
    notes = (_sample_note(stored.dtype, header, samples.peak, span), colours.note if colours else "", invalid_note)
    reading = int((stored.shape[2] == 4 and header.orientation != 1) or _is_white_zero(stored.dtype, header))
    return Still(np.ascontiguousarray(picture), samples, tuple(note for note in notes if note), reading=reading)


def fill_specks(plane: np.ndarray) -> tuple[np.ndarray, bool]:
    """Fill specks of invalid values in a plane (H, W) of floats; also return whether any value was invalid.

    Renderers leave single pixels that are NaN or infinite, and filters make small squares of them. A speck of at most
    ``MAX_SPECK_PIXELS`` pixels gets the mean of the valid values around it; otherwise one black or white pixel would
    become a mark in each painted frame. Larger areas remain.
    """
    is_valid = np.isfinite(plane) if plane.dtype == np.float16 else np.abs(plane) < MAX_VALID_VALUE
    if is_valid.all():
        return plane, False
    _, areas, stats, _ = cv2.connectedComponentsWithStats((~is_valid).astype(np.uint8), connectivity=8)
    is_speck = (stats[:, cv2.CC_STAT_AREA] <= MAX_SPECK_PIXELS)[areas] & ~is_valid
    values = plane.astype(np.promote_types(plane.dtype, np.float32))
    filled = np.where(is_valid, values, 0)
    while True:  # Each round fills the pixels at the specks' borders
        total, number = (
            cv2.boxFilter(each, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
            for each in (filled, is_valid.astype(filled.dtype))
        )
        border = is_speck & (number > 0.5)
        if not border.any():
            return np.where(is_valid, filled, values), True
        filled[border] = total[border] / number[border]
        is_valid, is_speck = is_valid | border, is_speck & ~border


def _sample_range(stored: np.ndarray, header: PictureHeader) -> SampleRange:
    """Return the range of stored samples, (H, W, 3 or 4); an empty range if the format or header states white."""
    colours = stored[..., :3]
    if stored.dtype == np.uint8 or header.max_value or header.format in _LIGHT_FORMATS or stored.shape[2] == 4:
        return SampleRange()
    finite = np.nan_to_num(colours, posinf=0, neginf=0)
    is_whole = stored.dtype.kind != "f" or bool((finite == np.floor(finite)).all())
    return SampleRange(native_white(stored.dtype), float(finite.max()), is_whole)


def _decode_by_profile(data: np.ndarray, header: PictureHeader) -> np.ndarray | None:
    """Convert a CMYK or Lab picture by its profile to sRGB, (H, W, 3) uint8; None for others, or if damaged."""
    if header.colours is None or header.colours.table is None:
        return None
    with _open_by_pillow(data, header) as picture:
        return None if picture is None else rotate_upright(header.colours.table.convert(picture), header.orientation)


def _decode(data: np.ndarray, header: PictureHeader) -> np.ndarray | None:
    """Return the samples as stored, (H, W, 3 or 4) of any dtype, straight alpha, upright; None if damaged."""
    if header.format == "PAM":
        return _decode_pam(data, header)
    # Pillow decodes 8-bit TIFFs with alpha, as OpenCV returns their colours premultiplied.
    if header.format in _PILLOW_FORMATS or (header.format == "TIFF" and header.has_alpha and header.bits <= 8):
        return _decode_by_pillow(data, header)
    is_plain_rgb = header.bits <= 16 and header.format not in _LIGHT_FORMATS and not header.has_alpha
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH if is_plain_rgb else cv2.IMREAD_UNCHANGED
    bgr = _decode_by_opencv(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None:  # Possibly because of extra channels
        return _decode_by_pillow(data, header) if header.format == "TIFF" and header.bits <= 8 else None
    channels = 1 if bgr.ndim == 2 else bgr.shape[2]
    if header.has_alpha and channels != 4:  # OpenCV ignores transparency that is given as a colour
        return _decode_by_pillow(data, header)
    if channels == 1:
        picture = np.repeat(bgr.reshape(*bgr.shape[:2], 1), 3, axis=2)
    else:
        picture = bgr[..., [2, 1, 0, 3][:channels]]
    picture = straight(picture) if header.premultiplied and channels == 4 else picture
    # OpenCV rotates TIFFs itself.
    return picture if header.format == "TIFF" else rotate_upright(picture, header.orientation)


def _decode_pam(data: np.ndarray, header: PictureHeader) -> np.ndarray | None:
    """Return the samples of a PAM, (H, W, 3 or 4) uint8 or uint16; None if it is truncated."""
    channels, kind = len(header.mode), np.dtype(">u2" if header.bits == 16 else np.uint8)
    pixels = data.tobytes().partition(b"ENDHDR\n")[2]
    shape = (header.height, header.width, channels)
    if len(pixels) < kind.itemsize * int(np.prod(shape)):
        return None
    picture = np.frombuffer(pixels, kind, int(np.prod(shape))).reshape(shape).astype(kind.newbyteorder("="))
    return picture if channels > 2 else picture[..., [0, 0, 0, 1][: 2 + channels]]


def _decode_by_opencv(data: np.ndarray, flags: int) -> np.ndarray | None:
    """Decode a file by OpenCV; return (H, W) or (H, W, C) of any dtype, in BGR order; None if damaged."""
    if _is_truncated_png(data):
        return None
    try:
        return cv2.imdecode(data, flags)
    except cv2.error:
        return None


def _decode_by_pillow(data: np.ndarray, header: PictureHeader) -> np.ndarray | None:
    """Decode a file by Pillow; return (H, W, 3 or 4) uint8, upright; None if damaged."""
    with _open_by_pillow(data, header) as picture:
        if picture is None:
            return None
        return rotate_upright(np.array(picture.convert("RGBA" if header.has_alpha else "RGB")), header.orientation)


@contextmanager
def _open_by_pillow(data: np.ndarray, header: PictureHeader) -> Iterator[Image.Image | None]:
    """Open and decode a picture; None if it is damaged."""
    from PIL import Image

    content = data.tobytes()
    if header.format == "TIFF" and header.orientation != 1:  # Pillow rotates it, with an error where sides are swapped
        content = tiff.clear_orientations(content)
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


def native_white(dtype: np.dtype) -> float:
    """Return the sample that is white by default in a dtype: the highest integer, or 1.0."""
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0


def _is_white_zero(dtype: np.dtype, header: PictureHeader) -> bool:
    """Return whether low samples are still bright after decoding: OpenCV and Pillow invert only 8-bit samples."""
    return header.white_is_zero and dtype != np.uint8


def _samples_to_codes(stored: np.ndarray, header: PictureHeader, span: Span | None) -> np.ndarray:
    """Convert samples (H, W, C) of any dtype to codes, uint8 or uint16.

    ``span``: the samples that are black and white; None: by header or dtype.
    """
    white_is_zero = _is_white_zero(stored.dtype, header)
    if not span and not header.max_value and not white_is_zero and stored.dtype in (np.uint8, np.uint16):
        return stored
    black, white = span or (0.0, header.max_value or native_white(stored.dtype))
    scaled = (stored.astype(np.float64) - black) / (white - black)
    if white_is_zero:
        scaled[..., :3] = 1 - scaled[..., :3]
    unit = np.clip(np.nan_to_num(scaled, posinf=1, neginf=0), 0, 1).astype(np.float32)
    if header.format in _LIGHT_FORMATS:
        unit[..., :3] = code_of_light(unit[..., :3])
    dtype = np.uint8 if stored.dtype == np.uint8 else np.uint16
    return np.rint(unit * np.float32(np.iinfo(dtype).max)).astype(dtype)


def _sample_note(dtype: np.dtype, header: PictureHeader, peak: float, span: Span | None) -> str:
    """Return a note for the user on how samples were converted to codes; '' for unsigned 8 and 16 bits.

    ``peak``: the highest stored sample. ``span``: the samples that are black and white; None: by header or dtype.
    """
    if span and span[0] == 0:
        return f"samples up to {span[1]:,.7g}: that is white in all of its pictures"
    if span:
        return f"samples from {span[0]:,.7g} to {span[1]:,.7g}: black to white in all of its pictures"
    if header.format in _LIGHT_FORMATS:
        return "light: 1 is white, and what is brighter is clipped"
    if dtype in (np.uint8, np.uint16):
        return ""
    if dtype.kind == "f":
        beyond = ", and what is brighter is clipped" if peak > 1 else ""
        return f"floating-point samples: 0 is black, 1 is white{beyond}"
    sign = "signed " if dtype.kind == "i" else ""
    below = ", negative ones are black" if sign else ""
    return f"{sign}{8 * dtype.itemsize}-bit samples: 0 is black, {native_white(dtype):,.0f} is white{below}"


def rotate_upright(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Rotate a stored picture upright; ``orientation``: EXIF's number, 1 to 8."""
    rotation = _MIRRORED.get(orientation, orientation)
    if rotation in _ROTATIONS:
        picture = cv2.rotate(picture, _ROTATIONS[rotation])
    return picture[:, ::-1] if orientation in _MIRRORED else picture


def _is_truncated_png(data: np.ndarray) -> bool:
    """Return whether a PNG chunk ends beyond the file; OpenCV would allocate its full size, possibly 2 GB."""
    if data[: len(PNG)].tobytes() != PNG:
        return False
    at = len(PNG)
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4].tobytes()), data[at + 4 : at + 8].tobytes()
        if name == b"IEND":
            return False
        at += length + 12  # Plus the fields for length, name and checksum
    return at > len(data)
