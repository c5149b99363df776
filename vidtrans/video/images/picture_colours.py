"""The colours of a picture file: which tag says what they are, and their conversion to sRGB.

In the order of their rank: PNG's ``cICP``, an ICC profile, PNG's ``sRGB``, ``gAMA`` and ``cHRM``, EXIF's colour space.
A picture without any of them is sRGB.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidtrans.video.colour.conversion import to_uint8, to_uint16
from vidtrans.video.colour.hdr import ToneMap
from vidtrans.video.colour.icc import Curve, CurvesAndMatrix, TableProfile, power, read_profile
from vidtrans.video.colour.primaries import ADOBE_RGB, BT709, TAGGED, Primaries
from vidtrans.video.colour.srgb import light_of_codes
from vidtrans.video.colour.tags import HDR_TRANSFERS

if TYPE_CHECKING:
    from PIL import Image

_EXIF, _INTEROP, _COLOUR_SPACE, _INDEX = 0x8769, 0xA005, 0xA001, 1
_EXIF_ADOBE_RGB, _INTEROP_ADOBE_RGB = 2, "R03"
_BY_PILLOW = {"CMYK", "LAB"}  # modes whose profiles need all channels as stored
_GREY = {"L", "LA", "1", "I;16", "I;16B", "I", "F"}
_ADOBE_GAMMA = 563 / 256
_SRGB_GAMMA = (0.44, 0.47)  # PNG's gAMA of pictures that mean sRGB
_TRANSFERS = {4: power(2.2), 5: power(2.8), 8: power(1.0)}  # of H.273; the others are shown as sRGB is


@dataclass(frozen=True)
class PictureColours:
    """The conversion of a picture's colours to sRGB.

    ``note``: a text for the user. ``convert``: from (H, W, 3) uint8 or uint16 to sRGB of the same dtype; None where
    nothing changes. ``table``: for CMYK and Lab, the profile that converts the picture as Pillow reads it, instead.
    """

    note: str
    convert: Callable[[np.ndarray], np.ndarray] | None = None
    table: TableProfile | None = None


def colours_of(
    mode: str, profile: bytes | None, chunks: Mapping[bytes, bytes] | None = None, exif: Image.Exif | None = None
) -> PictureColours | None:
    """Return the colours of a picture; None for sRGB.

    Args:
        mode: The picture's mode in Pillow.
        profile: The bytes of its ICC profile.
        chunks: The contents of a PNG's chunks on colour, by name.
        exif: Its EXIF data in Pillow.
    """
    chunks = chunks or {}
    if b"cICP" in chunks:
        return _of_code_points(chunks[b"cICP"])
    if profile:
        return _of_profile(profile, mode)
    if mode == "CMYK":
        return PictureColours("CMYK without a profile: its colours are approximate")
    if mode == "LAB":
        return _of_profile(_lab_profile(), mode)
    if b"sRGB" in chunks:
        return None
    if chunks.keys() & {b"gAMA", b"cHRM"}:
        return _of_gamma(chunks)
    return _of_exif(exif)


def light_of(primaries: Sequence[bytes]) -> PictureColours | None:
    """Return the colours of light, read by the sRGB curve; ``primaries``: x, y of R, G, B and white; [] for BT.709.

    What is no number is taken for BT.709, as are colours that do not span a gamut.
    """
    if len(primaries) != 8:
        return None
    try:
        numbers = [float(number) for number in primaries]
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        own = Primaries("the primaries in its header", *pairs)
    except ValueError:
        return None
    return _converted(own, _srgb_curve)


def _of_profile(profile: bytes, mode: str) -> PictureColours | None:
    try:
        found = read_profile(profile)
    except ValueError as error:
        return PictureColours(f"its ICC profile cannot be used ({error}): taken for sRGB")
    if found is None:
        return None
    note = f"colours of {'CIE Lab' if mode == 'LAB' else found.name}: converted to sRGB"
    fits = found.mode == mode if {found.mode, mode} & _BY_PILLOW else found.mode == "RGB" or mode in _GREY
    if not fits:
        return PictureColours(f"its ICC profile ({found.name}) is of another kind of picture: taken for sRGB")
    if isinstance(found, TableProfile) and mode in _BY_PILLOW:
        return PictureColours(note, table=found)
    return PictureColours(note, found)


def _of_code_points(chunk: bytes) -> PictureColours | None:
    """Return the colours of a ``cICP`` chunk: primaries, transfer, matrix and range of H.273."""
    primaries, transfer, matrix, is_full = (*chunk, 0, 0, 0, 0)[:4]
    own = TAGGED.get(primaries, BT709)
    if matrix:
        return PictureColours(f"its cICP matrix ({matrix}) is none for RGB: taken for sRGB")
    if primaries not in TAGGED and primaries != 2:
        return PictureColours(f"colour primaries {primaries} are not known: taken for sRGB")
    if name := HDR_TRANSFERS.get(transfer):
        tone_map = ToneMap(transfer, primaries)
        return PictureColours(f"HDR ({name}): mapped to SDR, sRGB", lambda rgb: _at_16_bits(tone_map, rgb))
    curve = _TRANSFERS.get(transfer, _srgb_curve)
    if not is_full:
        full = curve
        return _converted(own, lambda code: full(np.clip((code * 255 - 16) / 219, 0, 1)))
    return _converted(own, curve)


def _at_16_bits(tone_map: ToneMap, rgb: np.ndarray) -> np.ndarray:
    mapped = tone_map(to_uint16(rgb))
    return mapped if rgb.dtype == np.uint16 else to_uint8(mapped)


def _of_gamma(chunks: Mapping[bytes, bytes]) -> PictureColours | None:
    try:
        gamma = struct.unpack(">I", chunks.get(b"gAMA", b"\0\0\0\0"))[0] / 100_000
        own = BT709
        if b"cHRM" in chunks:
            wx, wy, rx, ry, gx, gy, bx, by = (n / 100_000 for n in struct.unpack(">8I", chunks[b"cHRM"]))
            own = Primaries("its cHRM", (rx, ry), (gx, gy), (bx, by), (wx, wy))
    except (struct.error, ValueError):
        return PictureColours("its colour tags (gAMA, cHRM) are wrong: taken for sRGB")
    is_srgb = not gamma or _SRGB_GAMMA[0] <= gamma <= _SRGB_GAMMA[1]
    return _converted(own, _srgb_curve if is_srgb else power(1 / gamma))


def _directory(exif: Image.Exif, tag: int) -> Mapping[int, object]:
    try:
        return exif.get_ifd(tag)
    except KeyError:  # Pillow before 13, where there is none
        return {}


def _of_exif(exif: Image.Exif | None) -> PictureColours | None:
    if not exif:
        return None
    space, index = _directory(exif, _EXIF).get(_COLOUR_SPACE), _directory(exif, _INTEROP).get(_INDEX)
    if space == _EXIF_ADOBE_RGB or str(index or "").startswith(_INTEROP_ADOBE_RGB):
        return _converted(ADOBE_RGB, power(_ADOBE_GAMMA))
    return None


def _srgb_curve(code: np.ndarray) -> np.ndarray:
    return np.interp(code, np.linspace(0, 1, 65536), light_of_codes("uint16"))


def _converted(primaries: Primaries, curve: Curve) -> PictureColours | None:
    name = "another gamma" if primaries is BT709 else primaries.name
    conversion = CurvesAndMatrix(name, (curve, curve, curve), primaries.to_bt709())
    return None if conversion.is_identity() else PictureColours(f"colours of {name}: converted to sRGB", conversion)


def _lab_profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
