"""Convert the colours of pictures to sRGB by their ICC profiles.

Profiles of curves and a matrix (Display P3, Adobe RGB, ProPhoto, grey gammas) are computed here, at 8 and 16 bits.
Profiles of tables (printers, scanners, CMYK) are applied by LittleCMS, relative colorimetric with black point
compensation.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidtrans.video.colour.tags import code_of_light

if TYPE_CHECKING:
    from PIL import Image, ImageCms

Curve = Callable[[np.ndarray], np.ndarray]  # Function from codes in [0, 1] to light in [0, 1], float64

# The primaries of sRGB in XYZ under D50, as in ICC profiles; the columns are red, green and blue.
_SRGB_D50 = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
_STRIP = 64  # Lines converted at a time, which limits the memory of intermediate arrays
_NODE_STEP = 5  # Step between the nodes of the colour table for 16-bit pictures, in 8-bit codes
_NUM_PARAMETERS = (1, 3, 4, 5, 7)  # Numbers of parameters of a parametric curve, by its type from 0 to 4
_SRGB_TOLERANCE = 1.0  # Largest difference of an sRGB profile from sRGB by rounding, in 8-bit codes


@dataclass(frozen=True)
class CurvesAndMatrix:
    """A conversion to sRGB: a curve per channel to linear light, and a matrix (3, 3) to linear BT.709 RGB.

    Colours outside sRGB are clipped.
    """

    name: str
    curves: tuple[Curve, Curve, Curve]
    matrix: np.ndarray
    mode: str = "RGB"  # Pillow's mode of the profile's pictures: "RGB" or "L"

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Convert (H, W, 3) uint8 or uint16 to sRGB of the same dtype."""
        max_code = np.iinfo(rgb.dtype).max
        tables = [np.clip(curve(np.linspace(0, 1, max_code + 1)), 0, 1).astype(np.float32) for curve in self.curves]
        converted = np.empty_like(rgb)
        for top in range(0, len(rgb), _STRIP):
            strip = rgb[top : top + _STRIP]
            light = np.stack([table[strip[..., c]] for c, table in enumerate(tables)], axis=2)
            light = np.clip(cv2.transform(light, self.matrix.astype(np.float32)), 0, 1)
            converted[top : top + _STRIP] = np.rint(code_of_light(light) * np.float32(max_code))
        return converted

    def is_identity(self) -> bool:
        """Return whether no 8-bit colour changes by more than the rounding of profiles."""
        axis = np.arange(0, 256, 15).astype(np.uint8)
        nodes = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(1, -1, 3)
        return float(np.abs(self(nodes).astype(np.int16) - nodes).max()) <= _SRGB_TOLERANCE


@dataclass(frozen=True)
class TableProfile:
    """A conversion to sRGB by the tables of a profile, with LittleCMS. ``profile``: its bytes."""

    name: str
    profile: bytes
    mode: str  # Pillow's mode of the profile's pictures: "RGB", "L", "CMYK", "LAB"

    def convert(self, picture: Image.Image) -> np.ndarray:
        """Convert a picture of ``mode`` to sRGB, (H, W, 3) uint8."""
        from PIL import ImageCms

        return np.array(ImageCms.applyTransform(picture, _transform(self.profile, self.mode)))

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Convert (H, W, 3) uint8 or uint16 to sRGB of the same dtype; 16 bits by interpolation of an 8-bit table."""
        from PIL import Image

        if rgb.dtype == np.uint8:
            return self.convert(Image.fromarray(rgb).convert(self.mode))
        from scipy.ndimage import map_coordinates

        axis = np.arange(0, 256, _NODE_STEP).astype(np.uint8)
        nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
        table = self.convert(Image.fromarray(nodes.reshape(len(axis), -1, 3)).convert(self.mode)).reshape(nodes.shape)
        coordinates = np.moveaxis(rgb, 2, 0).astype(np.float32) / np.float32(257 * _NODE_STEP)
        planes = np.moveaxis(table, -1, 0).astype(np.float32)
        channels = [map_coordinates(plane, coordinates, order=1, mode="nearest") for plane in planes]
        return np.rint(np.stack(channels, axis=2) * 257).astype(np.uint16)


Conversion = CurvesAndMatrix | TableProfile  # A conversion of pictures to sRGB


@lru_cache(maxsize=16)
def read_profile(profile: bytes) -> Conversion | None:
    """Return the conversion by a profile to sRGB; None if it is sRGB. Raises ValueError if it is unusable."""
    try:
        space, tags = profile[16:20].decode("latin-1"), dict(_tags(profile))
        mode = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}.get(space)
        if mode is None:
            raise ValueError(f"colours of the kind {space.strip()}")
        name = _description(profile)
        has_tables = bool(tags.keys() & {b"A2B0", b"A2B1"})
        conversion = None if has_tables else _curves_and_matrix(name, mode, profile[20:24], tags)
        if conversion is not None:
            return None if conversion.is_identity() else conversion
        _transform(profile, mode)
        return TableProfile(name, profile, mode)
    except (struct.error, LookupError, OSError, ZeroDivisionError, np.linalg.LinAlgError) as error:
        raise ValueError("it is damaged") from error


def _tags(profile: bytes) -> list[tuple[bytes, bytes]]:
    """Return (signature, content) of each tag in a profile."""
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(min(count, 200))]
    return [(signature, profile[offset : offset + size]) for signature, offset, size in entries]


def _curves_and_matrix(
    name: str, mode: str, connection_space: bytes, tags: dict[bytes, bytes]
) -> CurvesAndMatrix | None:
    """Return the conversion by a profile's curves and matrix; None without them, or if its connection space is Lab.

    ``name``: the profile's description. ``mode``: Pillow's mode of its pictures. ``tags``: contents by signature.
    """
    if connection_space != b"XYZ ":
        return None
    if mode == "L" and b"kTRC" in tags:
        grey = _curve(tags[b"kTRC"])
        return CurvesAndMatrix(name, (grey, grey, grey), np.eye(3), mode)
    if mode != "RGB" or not tags.keys() >= {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"}:
        return None
    columns = [np.array(struct.unpack_from(">3i", tags[c], 8)) / 65536 for c in (b"rXYZ", b"gXYZ", b"bXYZ")]
    matrix = np.linalg.inv(_SRGB_D50) @ np.array(columns).T
    red, green, blue = (_curve(tags[c]) for c in (b"rTRC", b"gTRC", b"bTRC"))
    return CurvesAndMatrix(name, (red, green, blue), matrix)


def power(gamma: float) -> Curve:
    """Return the curve light = code ** gamma."""
    return lambda code: np.power(code, gamma)


def _curve(tag: bytes) -> Curve:
    """Return the curve of a tag of the type ``curv`` or ``para`` (ICC.1:2022, 10.6 and 10.18)."""
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        return _parametric_curve(kind, np.array(struct.unpack_from(f">{_NUM_PARAMETERS[kind]}i", tag, 12)) / 65536)
    if tag[:4] != b"curv":
        raise ValueError("a curve of an unknown kind")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 1:
        return power(struct.unpack_from(">H", tag, 12)[0] / 256)
    table = np.array(struct.unpack_from(f">{count}H", tag, 12)) / 65535 if count else np.array([0.0, 1.0])
    return lambda code: np.interp(code, np.linspace(0, 1, len(table)), table)


def _parametric_curve(kind: int, numbers: np.ndarray) -> Curve:
    """Return the parametric curve of the type ``kind``, 0 to 4; ``numbers``: its parameters, in the order of ICC.1."""
    g, a, b, c, d, e, f = (float(n) for n in np.pad(numbers, (0, 7 - len(numbers))))
    if kind == 0:
        return power(g)
    edge = d if kind >= 3 else -b / a
    bright, dark = {1: (0.0, 0.0), 2: (c, c), 3: (0.0, 0.0), 4: (e, f)}[kind]
    slope = c if kind >= 3 else 0.0
    return lambda x: np.where(x >= edge, np.power(np.maximum(a * x + b, 0), g) + bright, slope * x + dark)


def _open_profile(profile: bytes) -> ImageCms.ImageCmsProfile:
    """Parse a profile by LittleCMS. Raises ValueError if it is damaged."""
    from PIL import ImageCms

    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (OSError, ImageCms.PyCMSError) as error:
        raise ValueError(str(error)) from None


def _description(profile: bytes) -> str:
    """Return the description in a profile, at most 60 characters."""
    words = " ".join((_open_profile(profile).profile.profile_description or "").split())
    return words[:60] or "an ICC profile"


@lru_cache(maxsize=4)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    """Return LittleCMS's transform by a profile from pictures of a Pillow mode to sRGB. Raises ValueError."""
    from PIL import ImageCms

    target = ImageCms.createProfile("sRGB")
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    try:
        return ImageCms.buildTransform(_open_profile(profile), target, mode, "RGB", intent, flags)
    except ImageCms.PyCMSError as error:
        raise ValueError(str(error)) from None
