"""The choices of ``--codec``: which encoder each is, in which pixel formats, and which containers may hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Containers by the endings of their names, with FFmpeg's names for them.
CONTAINERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}
SPEEDS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


@dataclass(frozen=True)
class Codec:
    """One choice: ``formats`` are pixel formats by (bits a channel, with alpha).

    ``odd``: formats for sizes that the codec's chroma subsampling cannot hold. ``segments``: the container of a chunk's
    file. ``unpacked``: chunks are lossless and become pictures, or a GIF, when all are there. ``crf``: its default
    quality, None where it has no such option. ``tag``: QuickTime's name for the codec. ``smallest``: the least (width,
    height) that it takes. ``even``: it takes no odd sizes.
    """

    encoder: str
    summary: str
    containers: tuple[str, ...]
    formats: Mapping[tuple[int, bool], str]
    odd: Mapping[int, str] = field(default_factory=dict)
    options: tuple[tuple[str, str], ...] = ()
    segments: str = "nut"
    unpacked: bool = False
    crf: int | None = None
    worst_crf: int = 51
    tag: str = ""
    smallest: tuple[int, int] = (1, 1)
    even: bool = False

    @property
    def depths(self) -> tuple[int, ...]:
        """Bits a channel that it can hold, ascending."""
        return tuple(sorted({depth for depth, _ in self.formats}))

    def has_alpha(self, depth: int) -> bool:
        """Return whether it keeps alpha at this depth."""
        return (depth, True) in self.formats

    def pix_fmt(self, depth: int, alpha: bool, width: int, height: int) -> str:
        """Return the pixel format for pictures of this kind."""
        if (width % 2 or height % 2) and depth in self.odd:
            return self.odd[depth]
        return self.formats[depth, alpha]


_FFV1 = (("level", "3"), ("slices", "4"), ("threads", "1"))
_RGB_8 = {(8, False): "bgr0", (8, True): "bgra"}
_RGB_16 = {(16, False): "gbrp16le", (16, True): "gbrap16le"}
_RGB = _RGB_8 | _RGB_16
_420 = {(8, False): "yuv420p", (10, False): "yuv420p10le"}
_444 = {8: "yuv444p", 10: "yuv444p10le"}

# What an encoder's bytes depend on (threads, the processor's instructions) is fixed, and never follows the machine.
CODECS = {
    "h264": Codec(
        "libx264",
        "plays everywhere",
        ("mp4", "mov", "mkv"),
        _420,
        odd=_444,
        options=(("threads", "4"),),
        crf=18,
    ),
    "h265": Codec(
        "libx265",
        "half of H.264's size, slower to make; 8 or 10 bits",
        ("mp4", "mov", "mkv"),
        _420,
        odd=_444,
        # Frame threads change its decisions, and by default there are as many as the machine has cores.
        options=(("x265-params", "log-level=error:frame-threads=1:pools=2"),),
        crf=20,
        tag="hvc1",
    ),
    "av1": Codec(
        "libsvtav1",
        "smallest files, for the web; 8 or 10 bits",
        ("mp4", "mkv", "webm"),
        _420,
        options=(("svtav1-params", "lp=2"),),
        crf=26,
        worst_crf=63,
    ),
    "prores": Codec(
        "prores_ks",
        "ProRes 422 HQ, 10 bits, for editing",
        ("mov", "mkv"),
        {(10, False): "yuv422p10le"},
        options=(("profile", "hq"), ("vendor", "apl0"), ("threads", "2")),
        segments="mov",
        tag="apch",
        even=True,  # its encoder spoils the last columns of some odd widths
    ),
    "prores4444": Codec(
        "prores_ks",
        "ProRes 4444, 10 bits, with alpha",
        ("mov", "mkv"),
        {(10, False): "yuv444p10le", (10, True): "yuva444p10le"},
        options=(("profile", "4444"), ("vendor", "apl0"), ("threads", "2")),
        segments="mov",
        tag="ap4h",
    ),
    "dnxhr": Codec(
        "dnxhd",
        "DNxHR HQX, 10 bits, for editing",
        ("mov",),
        {(10, False): "yuv422p10le"},
        options=(("profile", "dnxhr_hqx"), ("threads", "2")),
        segments="mov",
        smallest=(256, 120),
    ),
    "ffv1": Codec(
        "ffv1", "lossless RGB, 8 or 16 bits, with alpha, for archives and further work", ("mkv",), _RGB, options=_FFV1
    ),
    "png": Codec("ffv1", "a PNG a frame, 8 or 16 bits, with alpha", ("png",), _RGB, options=_FFV1, unpacked=True),
    "exr": Codec(
        "ffv1",
        "an OpenEXR picture a frame, linear light, half floats, with alpha",
        ("exr",),
        _RGB_16,
        options=_FFV1,
        unpacked=True,
    ),
    "gif": Codec("ffv1", "an animated GIF, 256 colours, for the web", ("gif",), _RGB_8, options=_FFV1, unpacked=True),
}
PICTURES = ("png", "exr")
# Endings of results, each of which stands for a codec or a container.
ENDINGS = (*CONTAINERS, *PICTURES, "gif")


def codecs_with_alpha() -> list[str]:
    """Return the codecs that keep transparency."""
    return [name for name, codec in CODECS.items() if any(alpha for _, alpha in codec.formats)]


def codecs_with_depth() -> list[str]:
    """Return the codecs that keep more than 8 bits a channel without being asked to."""
    return [name for name, codec in CODECS.items() if name != "h264" and max(codec.depths) > 8]
