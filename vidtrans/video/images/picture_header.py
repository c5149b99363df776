"""Read the header of a picture file: size, samples, orientation, colours, number of pictures; nothing is decoded.

Colour tags are used in this order: PNG's ``cICP``, an ICC profile, PNG's ``sRGB``, ``gAMA`` and ``cHRM``, EXIF's colour
space. A picture without any of them is sRGB. ``num_plays`` reads how often an animated picture is played: GIF, PNG,
WebP, AVIF.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import SEEK_END
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from vidtrans.video.colour.conversion import ToneMap, to_uint8, to_uint16
from vidtrans.video.colour.icc import Curve, CurvesAndMatrix, TableProfile, power, read_profile
from vidtrans.video.colour.tags import (
    ADOBE_RGB,
    BT709_PRIMARIES,
    HDR_TRANSFERS,
    PRIMARIES,
    Primaries,
    light_of_codes,
)
from vidtrans.video.images import tiff

if TYPE_CHECKING:
    from PIL import Image

# Numbers of EXIF directories, and of tags in them.
_EXIF, _INTEROP, _COLOUR_SPACE, _INTEROP_INDEX = 0x8769, 0xA005, 0xA001, 1
_EXIF_ADOBE_RGB, _INTEROP_ADOBE_RGB = 2, "R03"  # Values of these tags for Adobe RGB
_TABLE_MODES = {"CMYK", "LAB"}  # Pillow modes whose ICC profiles need the stored channels, not RGB or grey
_GREY = {"L", "LA", "1", "I;16", "I;16B", "I", "F"}  # Pillow's grey modes
_ADOBE_GAMMA = 563 / 256  # Gamma of Adobe RGB
_SRGB_GAMMA = (0.44, 0.47)  # Range of the values of PNG's gAMA that mean sRGB
# Curves by H.273's number of the transfer; other transfers are displayed like sRGB.
_TRANSFERS = {4: power(2.2), 5: power(2.8), 8: power(1.0)}
PNG = b"\x89PNG\r\n\x1a\n"  # First bytes of a PNG file
_RADIANCE = (b"#?RADIANCE", b"#?RGBE")  # First bytes of Radiance pictures
# Names of unsupported formats by the first four bytes of a file.
_UNSUPPORTED_SIGNATURES = {
    b"SDPX": "DPX",
    b"XPDS": "DPX",
    b"\x80\x2a\x5f\xd7": "Cineon",
    b"\xd7\x5f\x2a\x80": "Cineon",
    b"8BPS": "PSD",
}
# Names of PNG's colour chunks and EXIF chunk, and the longest content of a chunk that is read.
_PNG_COLOURS, _PNG_EXIF, _MAX_CHUNK_BYTES = (b"cICP", b"sRGB", b"gAMA", b"cHRM"), b"eXIf", 1 << 16
# Most chunks of a PNG before its pixels, and most chunks that are read; EXIF after them is ignored.
_MAX_CHUNKS_BEFORE_PIXELS, _MAX_CHUNKS = 10_000, 100_000
_MIN_FRAME_BYTES = 38  # Least size of an animation's frame: a chunk fcTL in PNG, or ANMF with its content in WebP
_ORIENTATION = 274  # EXIF tag of the orientation
# Kinds of numbers, for messages, by the value of TIFF's tag SampleFormat.
_TIFF_SAMPLES = {1: "whole", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
# Pillow modes by TIFF's photometric interpretation; else RGB.
_PHOTOMETRIC_MODES = {0: "L", 1: "L", 3: "P", 5: "CMYK", 8: "LAB"}
MAX_PLAYS = 65_535  # Most plays of an animation; more become endless, as GIF and WebP cannot count further
# Pillow's names of animated formats by the first four bytes of a file.
_ANIMATION_FORMATS = {b"GIF8": "GIF", b"\x89PNG": "PNG", b"RIFF": "WEBP"}
_MAX_AVIF_HEADER_BYTES = 16 << 20  # Bytes of an AVIF file that are searched for its tracks


@dataclass(frozen=True)
class PictureColours:
    """The conversion of a picture's colours to sRGB.

    ``note``: a text for the user. ``convert``: from (H, W, 3) uint8 or uint16 to sRGB of the same dtype; None if
    nothing changes. ``table``: for CMYK and Lab, the profile that converts the picture as Pillow reads it, instead of
    ``convert``.
    """

    note: str
    convert: Callable[[np.ndarray], np.ndarray] | None = None
    table: TableProfile | None = None


def colours_of(
    mode: str, profile: bytes | None, chunks: Mapping[bytes, bytes] | None = None, exif: Image.Exif | None = None
) -> PictureColours | None:
    """Return the conversion of a picture's colours to sRGB, by its tags or profile; None for sRGB.

    Args:
        mode: The picture's mode in Pillow.
        profile: The bytes of its ICC profile.
        chunks: The contents of a PNG's colour chunks, by name.
        exif: Its EXIF data in Pillow.
    """
    chunks = chunks or {}
    if b"cICP" in chunks:
        return _colours_by_cicp(chunks[b"cICP"])
    if profile:
        return _colours_by_profile(profile, mode)
    if mode == "CMYK":
        return PictureColours("CMYK without a profile: its colours are approximate")
    if mode == "LAB":
        return _colours_by_profile(_lab_profile(), mode)
    if b"sRGB" in chunks:
        return None
    if chunks.keys() & {b"gAMA", b"cHRM"}:
        return _colours_by_gamma(chunks)
    return _colours_by_exif(exif)


def colours_of_light(primaries: Sequence[bytes]) -> PictureColours | None:
    """Return the colours of a picture of linear light whose samples the sRGB curve has already converted.

    ``primaries``: the texts of x and y of R, G, B and white; [] for BT.709. If a number is invalid, or the primaries
    span no gamut, they are taken for BT.709.
    """
    if len(primaries) != 8:
        return None
    try:
        numbers = [float(number) for number in primaries]
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        stated = Primaries("the primaries in its header", *pairs)
    except ValueError:
        return None
    return _colours_by_curve(stated, _srgb_curve)


def _colours_by_profile(profile: bytes, mode: str) -> PictureColours | None:
    """Return the colours of a picture of a Pillow mode with an ICC profile; None for sRGB."""
    try:
        conversion = read_profile(profile)
    except ValueError as error:
        return PictureColours(f"its ICC profile cannot be used ({error}): taken for sRGB")
    if conversion is None:
        return None
    note = f"colours of {'CIE Lab' if mode == 'LAB' else conversion.name}: converted to sRGB"
    modes = {conversion.mode, mode}
    is_compatible = len(modes) == 1 if modes & _TABLE_MODES else conversion.mode == "RGB" or mode in _GREY
    if not is_compatible:
        return PictureColours(f"its ICC profile ({conversion.name}) is of another kind of picture: taken for sRGB")
    if isinstance(conversion, TableProfile) and mode in _TABLE_MODES:
        return PictureColours(note, table=conversion)
    return PictureColours(note, conversion)


def _colours_by_cicp(chunk: bytes) -> PictureColours | None:
    """Return the colours by a PNG chunk ``cICP``: primaries, transfer, matrix and range of H.273; None for sRGB."""
    primaries, transfer, matrix, is_full = (*chunk, 0, 0, 0, 0)[:4]
    tagged = PRIMARIES.get(primaries, BT709_PRIMARIES)
    if matrix:
        return PictureColours(f"its cICP matrix ({matrix}) is none for RGB: taken for sRGB")
    if primaries not in PRIMARIES and primaries != 2:
        return PictureColours(f"colour primaries {primaries} are not known: taken for sRGB")
    if name := HDR_TRANSFERS.get(transfer):
        tone_map = ToneMap(transfer, primaries)
        return PictureColours(f"HDR ({name}): mapped to SDR, sRGB", lambda rgb: _tone_map_16_bits(tone_map, rgb))
    curve = _TRANSFERS.get(transfer, _srgb_curve)
    if not is_full:
        full_curve = curve
        return _colours_by_curve(tagged, lambda code: full_curve(np.clip((code * 255 - 16) / 219, 0, 1)))
    return _colours_by_curve(tagged, curve)


def _tone_map_16_bits(tone_map: ToneMap, rgb: np.ndarray) -> np.ndarray:
    """Map an HDR picture to SDR with 16 bits; the result has the dtype of ``rgb``, uint8 or uint16."""
    mapped = tone_map(to_uint16(rgb))
    return mapped if rgb.dtype == np.uint16 else to_uint8(mapped)


def _colours_by_gamma(chunks: Mapping[bytes, bytes]) -> PictureColours | None:
    """Return the colours by the PNG chunks ``gAMA`` and ``cHRM``; None for sRGB."""
    try:
        gamma = struct.unpack(">I", chunks.get(b"gAMA", b"\0\0\0\0"))[0] / 100_000
        primaries = BT709_PRIMARIES
        if b"cHRM" in chunks:
            wx, wy, rx, ry, gx, gy, bx, by = (n / 100_000 for n in struct.unpack(">8I", chunks[b"cHRM"]))
            primaries = Primaries("its cHRM", (rx, ry), (gx, gy), (bx, by), (wx, wy))
    except (struct.error, ValueError):
        return PictureColours("its colour tags (gAMA, cHRM) are wrong: taken for sRGB")
    is_srgb = not gamma or _SRGB_GAMMA[0] <= gamma <= _SRGB_GAMMA[1]
    return _colours_by_curve(primaries, _srgb_curve if is_srgb else power(1 / gamma))


def _exif_directory(exif: Image.Exif, tag: int) -> Mapping[int, object]:
    """Return the values of an EXIF directory by tag; {} if the directory is missing."""
    try:
        return exif.get_ifd(tag)
    except KeyError:  # Pillow before 13 raises it if the directory is missing
        return {}


def _colours_by_exif(exif: Image.Exif | None) -> PictureColours | None:
    """Return the conversion from Adobe RGB if EXIF data state that colour space; else None."""
    if not exif:
        return None
    space, index = _exif_directory(exif, _EXIF).get(_COLOUR_SPACE), _exif_directory(exif, _INTEROP).get(_INTEROP_INDEX)
    if space == _EXIF_ADOBE_RGB or str(index or "").startswith(_INTEROP_ADOBE_RGB):
        return _colours_by_curve(ADOBE_RGB, power(_ADOBE_GAMMA))
    return None


def _srgb_curve(code: np.ndarray) -> np.ndarray:
    """Return the linear light of sRGB codes, both in [0, 1]."""
    return np.interp(code, np.linspace(0, 1, 65536), light_of_codes("uint16"))


def _colours_by_curve(primaries: Primaries, curve: Curve) -> PictureColours | None:
    """Return the conversion to sRGB from primaries and a transfer curve; None if they equal sRGB."""
    name = "another gamma" if primaries is BT709_PRIMARIES else primaries.name
    conversion = CurvesAndMatrix(name, (curve, curve, curve), primaries.to_bt709())
    return None if conversion.is_identity() else PictureColours(f"colours of {name}: converted to sRGB", conversion)


def _lab_profile() -> bytes:
    """Return the bytes of LittleCMS's ICC profile of CIE Lab."""
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


class UnreadablePictureError(ValueError):
    """Raised if a file is not a picture, or its format is unsupported; the text is the reason."""


@dataclass(frozen=True)
class PictureHeader:
    """The header of a picture file.

    ``width`` × ``height``: of the upright picture. ``orientation``: EXIF's number. ``mode``: a mode of Pillow.
    ``max_value``: the sample that is white, if the header states it, else 0. ``bits``: of a stored sample.
    ``premultiplied``: colours are multiplied by alpha. ``white_is_zero``: low samples are bright. ``samples``: a
    description of a TIFF's samples, for messages. ``colours``: None for sRGB. ``pages``: the numbers of an animation's
    frames, or the offsets of a TIFF's directories without previews.
    """

    format: str
    mode: str
    width: int
    height: int
    has_alpha: bool = False
    orientation: int = 1
    max_value: int = 0
    bits: int = 8
    premultiplied: bool = False
    white_is_zero: bool = False
    samples: str = ""
    colours: PictureColours | None = None
    pages: Sequence[int] = (0,)

    @property
    def num_pictures(self) -> int:
        """The number of pictures in the file."""
        return len(self.pages)


def read_header(stream: BinaryIO, formats: tuple[str, ...] | None = None) -> PictureHeader:
    """Return the header of a picture; ``formats``: Pillow's names of the allowed formats; None: all.

    Raises UnreadablePictureError, OSError.
    """
    start = stream.read(32)
    stream.seek(0)
    if formats is None:
        if name := _UNSUPPORTED_SIGNATURES.get(start[:4]):
            raise UnreadablePictureError(f"{name} is not read here")
        if start.startswith(_RADIANCE):
            return _read_radiance(stream)
        if re.match(rb"P[Ff]\s", start):
            return _read_pfm(stream)
        if start.startswith(b"P7\n"):
            return _read_pam(stream)
        if start.startswith(tiff.SIGNATURES):
            return _read_tiff(stream)
    # Read the chunks of a PNG before Pillow does, which does not limit their number.
    chunks = _read_png_chunks(stream) if start.startswith(PNG) else {}
    return _read_by_pillow(stream, formats, chunks)


def _read_by_pillow(stream: BinaryIO, formats: tuple[str, ...] | None, chunks: dict[bytes, bytes]) -> PictureHeader:
    """Return the header of a file that Pillow opens; ``chunks``: colours of a PNG. Raises UnreadablePictureError."""
    from PIL import Image, UnidentifiedImageError

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # Only a header is read; callers check ``MAX_PIXELS``
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(stream, formats=formats)
            return _pillow_header(picture, stream, chunks)
    except UnidentifiedImageError:
        raise UnreadablePictureError("") from None
    except (ValueError, SyntaxError, struct.error, KeyError, TypeError) as error:
        raise UnreadablePictureError(str(error)) from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _pillow_header(picture: Image.Image, stream: BinaryIO, chunks: dict[bytes, bytes]) -> PictureHeader:
    """Return the header of a picture that Pillow has opened; ``chunks``: contents of PNG chunks, by name."""
    format_name = str(picture.format)
    exif = _exif_of(picture, chunks)
    orientation = exif.get(_ORIENTATION, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    profile = _jp2_profile(stream) if format_name == "JPEG2000" else None
    depth = 8
    if format_name == "AVIF":
        depth, chunks = _avif_depth_and_colours(stream)
    is_animation = format_name in ("PNG", "WEBP")  # In a JPEG, a second picture is a preview
    return PictureHeader(
        format_name,
        picture.mode,
        *_upright_size(*picture.size, orientation),
        has_alpha=picture.has_transparency_data,
        orientation=orientation,
        max_value=_pnm_white(stream) if format_name == "PPM" else 2**depth - 1 if depth > 8 else 0,
        bits=16 if picture.mode.startswith("I") or depth > 8 else 8,
        colours=colours_of(picture.mode, picture.info.get("icc_profile") or profile, chunks, exif),
        pages=_frame_range(picture, stream) if is_animation else (0,),
    )


def _jp2_profile(stream: BinaryIO) -> bytes | None:
    """Return the ICC profile of a JPEG 2000 file, from a box ``colr`` of method 2, which Pillow does not read."""
    stream.seek(0)
    before, name, box = stream.read(_MAX_CHUNK_BYTES).partition(b"colr")
    if not name or box[:1] != b"\2":
        return None
    return box[3 : int.from_bytes(before[-4:]) - 8]


def _avif_depth_and_colours(stream: BinaryIO) -> tuple[int, dict[bytes, bytes]]:
    """Return the bits of an AVIF's samples, and its H.273 colour tags as PNG's ``cICP``.

    Pillow reads neither.
    """
    stream.seek(0)
    start = stream.read(_MAX_CHUNK_BYTES)
    _, _, codec = start.partition(b"av1C")
    flags = codec[2] if len(codec) > 2 else 0
    depth = 8 if not flags & 0x40 else 12 if flags & 0x20 else 10
    _, _, tags = start.partition(b"colrnclx")
    primaries, transfer = (struct.unpack(">HH", tags[:4])) if len(tags) >= 4 else (2, 2)
    return depth, {} if (primaries, transfer) == (2, 2) else {b"cICP": bytes([primaries & 255, transfer & 255, 0, 1])}


def _frame_range(picture: Image.Image, stream: BinaryIO) -> range:
    """Return the numbers of an animation's frames; a PNG's default picture need not be one of them.

    Raises UnreadablePictureError where the file is too short for the number in its header.
    """
    count = int(getattr(picture, "n_frames", 1))
    if count > 1 and count * _MIN_FRAME_BYTES > stream.seek(0, SEEK_END):
        raise UnreadablePictureError(f"its header says {count:,} pictures, for which the file is too short")
    return range(1 if count > 1 and getattr(picture, "default_image", False) else 0, count)


def _exif_of(picture: Image.Image, chunks: dict[bytes, bytes]) -> Image.Exif:
    """Return the EXIF data of a picture, empty if damaged; for PNG from its ``chunks``.

    In a PNG the chunk may come last, and Pillow would decode the picture to reach it.
    """
    from PIL import Image

    exif = Image.Exif()
    try:
        if picture.format != "PNG":
            exif = picture.getexif()
        else:
            exif.load(chunks.get(b"eXIf", b""))
        exif.get(_ORIENTATION)  # Raises an error if the data are damaged
    except (OSError, ValueError, SyntaxError, LookupError, TypeError, struct.error):
        return Image.Exif()
    return exif


def _upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return the (width, height) of a stored picture after its rotation; ``orientation``: EXIF's number."""
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def _read_png_chunks(stream: BinaryIO) -> dict[bytes, bytes]:
    """Return the contents of the chunks of a PNG that define its colours and its orientation, by name.

    Colour chunks come before the pixels; EXIF may follow them. Raises UnreadablePictureError for too many chunks.
    """
    stream.seek(len(PNG))
    chunks: dict[bytes, bytes] = {}
    relevant, count = {*_PNG_COLOURS, _PNG_EXIF}, 0
    while len(head := stream.read(8)) == 8 and count < _MAX_CHUNKS:
        length, name = struct.unpack(">I4s", head)
        if name == b"IDAT":
            relevant = {_PNG_EXIF}
        if count >= _MAX_CHUNKS_BEFORE_PIXELS and len(relevant) > 1:
            raise UnreadablePictureError("a PNG of too many chunks")
        if name in relevant and length <= _MAX_CHUNK_BYTES:
            chunks[name] = stream.read(length)
            stream.seek(4, 1)  # Skip the checksum
        else:
            stream.seek(length + 4, 1)
        count += 1
    stream.seek(0)
    return chunks


def _pnm_white(stream: BinaryIO) -> int:
    """Return the sample value of white in a PNM's header; 0 if no sample needs scaling after decoding.

    This is so for white values of 255 and 65535, for bitmaps, and for 8-bit text formats, which OpenCV scales.
    """
    stream.seek(0)
    words = re.sub(rb"#[^\n]*", b"", stream.read(4096)).split(None, 4)
    white = int(words[3]) if words[0] not in (b"P1", b"P4") and len(words) > 3 and words[3].isdigit() else 255
    is_scaled_by_opencv = white < 256 and words[0] in (b"P2", b"P3")
    return 0 if is_scaled_by_opencv or white in (255, 65535) else white


def _read_radiance(stream: BinaryIO) -> PictureHeader:
    """Return the header of a Radiance picture. Raises UnreadablePictureError."""
    text = stream.read(8192)
    size = re.search(rb"\n-Y (\d{1,6}) \+X (\d{1,6})\n", text)
    if not size:
        raise UnreadablePictureError("a Radiance picture that is stored turned, or damaged")
    primaries = re.search(rb"\nPRIMARIES=([-+.eE0-9 \t]+)\n", text)
    numbers = primaries[1].split() if primaries else []
    return PictureHeader("HDR", "F", int(size[2]), int(size[1]), bits=32, colours=colours_of_light(numbers))


def _read_pfm(stream: BinaryIO) -> PictureHeader:
    """Return the header of a PFM picture. Raises UnreadablePictureError."""
    words = stream.read(128).split(None, 3)
    if len(words) < 3 or not (words[1].isdigit() and words[2].isdigit()):
        raise UnreadablePictureError("a damaged PFM")
    return PictureHeader("PFM", "F", int(words[1]), int(words[2]), bits=32, colours=colours_of_light([]))


def _read_pam(stream: BinaryIO) -> PictureHeader:
    """Return the header of a PAM picture. Raises UnreadablePictureError."""
    fields = dict(re.findall(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL) (\d{1,9})$", stream.read(4096), re.MULTILINE))
    try:
        width, height, depth, white = (int(fields[k]) for k in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    except KeyError:
        raise UnreadablePictureError("a damaged PAM") from None
    if min(width, height) < 1:
        raise UnreadablePictureError("a PAM without pixels")
    mode, bits = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}.get(depth, ""), 16 if white > 255 else 8
    if not mode:
        raise UnreadablePictureError(f"a PAM of {depth} channels")
    return PictureHeader("PAM", mode, width, height, depth in (2, 4), max_value=white, bits=bits)


def _tiff_sample_text(tags: tiff.Tags) -> str:
    """Describe the samples of a TIFF for messages: channels, bits, number format."""
    bits, kind = tags.get(tiff.BITS, (1,)), tags.get(tiff.FORMAT, (1,))[0]
    channels = "1 channel" if len(bits) == 1 else f"{len(bits)} channels"
    return f"{channels} of {bits[0]}-bit {_TIFF_SAMPLES.get(kind, 'unknown')} numbers"


def _is_page(tags: tiff.Tags, first: tiff.Tags) -> bool:
    """Return whether a TIFF directory is a picture of the stack, not a preview or a mask.

    ``first``: the tags of the file's first directory.
    """
    is_same_size = all(tags.get(side) == first[side] for side in (tiff.WIDTH, tiff.HEIGHT))
    return is_same_size and not tags.get(tiff.SUBFILE, (0,))[0] & tiff.NON_PAGE_FLAGS


def _read_tiff(stream: BinaryIO) -> PictureHeader:
    """Return the header of a TIFF, including one whose samples Pillow cannot read."""
    try:
        directories, profile = tiff.read_directories(stream)
    except (ValueError, struct.error) as error:
        raise UnreadablePictureError(str(error)) from None
    tags = directories[0]
    # Pictures of another size, and those with ``NON_PAGE_FLAGS``, are previews or masks.
    pages = [other[tiff.DIRECTORY][0] for other in directories if other is tags or _is_page(other, tags)]
    mode = _PHOTOMETRIC_MODES.get(tags.get(tiff.PHOTOMETRIC, (2,))[0], "RGB")
    if max(tags.get(tiff.BITS, (1,))) > 8 and len(tags.get(tiff.BITS, ())) > 1 and tags.get(tiff.PLANES, (1,))[0] == 2:
        # OpenCV decodes them wrongly.
        raise UnreadablePictureError("more than 8 bits in separate planes, which are not read")
    extra = tags.get(tiff.EXTRA, (0,))[0]
    orientation = tags.get(tiff.ORIENTATION, (1,))[0]
    return PictureHeader(
        "TIFF",
        mode,
        *_upright_size(tags[tiff.WIDTH][0], tags[tiff.HEIGHT][0], orientation),
        has_alpha=extra in (1, 2),
        orientation=orientation,
        bits=max(tags.get(tiff.BITS, (1,))),
        premultiplied=extra == 1,
        white_is_zero=tags.get(tiff.PHOTOMETRIC, (2,))[0] == 0,
        samples=_tiff_sample_text(tags),
        colours=colours_of(mode, profile),
        pages=pages,
    )


def num_plays(path: Path) -> int | None:
    """Return how often an animation is played, 0 for endlessly; None for other files, or if it is not stated."""
    with path.open("rb") as file:
        head = file.read(16)
        if head[4:12] in (b"ftypavis", b"ftypavif"):
            return _avif_plays(file.read(_MAX_AVIF_HEADER_BYTES), int.from_bytes(head[:4]) - len(head))
    format_name = _ANIMATION_FORMATS.get(head[:4])
    return None if format_name is None else _plays_by_pillow(path, format_name)


def _plays_by_pillow(path: Path, format_name: str) -> int | None:
    """Return how often a GIF, PNG or WebP animation is played, 0 for endlessly; None for a still, or if unknown."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=[format_name]) as picture:
                if not getattr(picture, "is_animated", False):
                    return None
                count: int | None = picture.info.get("loop")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None
    if format_name == "GIF":  # GIF counts the repeats; without a count it is played once
        count = 1 if count is None else count and count + 1
    return None if count is None else count if count <= MAX_PLAYS else 0


def _avif_plays(data: bytes, at: int) -> int | None:
    """Return how often an AVIF is played: the duration of its track divided by that of the repeated edit.

    ``data``: the file after its first bytes; ``at``: the offset in them of the second box. Return 0 for endlessly, None
    without an edit list. See ISO/IEC 23000-22.
    """
    for track in (t for moov in _boxes(data[max(0, at) :], b"moov") for t in _boxes(moov, b"trak")):
        header = next(_boxes(track, b"tkhd"), b"")
        edits = next((e for one in _boxes(track, b"edts") for e in _boxes(one, b"elst")), b"")
        if len(edits) < 16 or len(header) < 36:
            continue
        if not edits[3] & 1:
            return 1
        track_duration = struct.unpack_from(">Q" if header[0] else ">I", header, 28 if header[0] else 20)[0]
        edit_duration = struct.unpack_from(">Q" if edits[0] else ">I", edits, 8)[0]
        plays = -(-track_duration // edit_duration) if edit_duration else 0
        return plays if plays <= MAX_PLAYS else 0
    return None


def _boxes(data: bytes, kind: bytes) -> Iterator[bytes]:
    """Yield the contents of the boxes of the type ``kind`` (ISO/IEC 14496-12) among the boxes in ``data``."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        size = size if size >= 8 else len(data) - at  # The last box may extend to the end
        if data[at + 4 : at + 8] == kind:
            yield data[at + 8 : at + size]
        at += size
