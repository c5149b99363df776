"""ICC profiles of decoded frames, as Motion JPEG, PNG and QuickTime movies have them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import av
from av.sidedata.sidedata import Type

from vidtrans.video.colour.icc import Conversion, TableProfile, read_profile
from vidtrans.video.colour.tags import UNSPECIFIED
from vidtrans.video.side_data import side_data

# PyAV frees the name of a PNG's profile twice, and crashes: the side data of such frames must not be touched.
PNG_CODECS = ("png", "apng")
_LARGEST = 1 << 24


@dataclass(frozen=True)
class FrameProfile:
    """The ``conversion`` by a frame's ICC profile, None without one; ``unread``: names a profile that is not used."""

    conversion: Conversion | None = None
    unread: str = ""

    @property
    def colour(self) -> str:
        """The name of the colours that are converted; '' without any."""
        return f"colours of {self.conversion.name}" if self.conversion else ""


def profile_of(frame: av.VideoFrame, profile: bytes | None = None) -> FrameProfile:
    """Return the profile of a frame; ``profile``: its bytes, if known (b'' for none).

    Colour tags outrank profiles: players know them, and movies with both should mean the same by them.
    """
    if not (data := _profile(frame) if profile is None else profile):
        return FrameProfile()
    try:
        found = read_profile(data)
    except ValueError as error:
        return FrameProfile(unread=f"ICC profile ({error})")
    if found is None:
        return FrameProfile()
    if isinstance(found, TableProfile) and found.mode != "RGB":
        return FrameProfile(unread=f"ICC profile {found.name}")
    if (int(frame.color_primaries), int(frame.color_trc)) == (UNSPECIFIED, UNSPECIFIED):
        return FrameProfile(found)
    return FrameProfile(unread=f"ICC profile {found.name} beside colour tags")


def png_profile(data: bytes) -> bytes:
    """Return the ICC profile in a PNG file; b'' without one."""
    at = data.find(b"iCCP", 0, data.find(b"IDAT"))
    if at < 4:
        return b""
    _, _, packed = data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at])].partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], _LARGEST)
    except zlib.error:
        return b""


def _profile(frame: av.VideoFrame) -> bytes:
    try:
        return side_data(frame, Type.ICC_PROFILE)
    except ValueError:
        return b""
