"""The table of codecs for ``--codec``: encoder, pixel formats and containers of each; the choices of ``--decoder``.

This module does not import FFmpeg.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Containers by the endings of their names, with FFmpeg's names for them.
CONTAINERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}
SPEEDS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
# The names of these for other encoders than x264 and x265. SVT-AV1 counts its presets the other way round.
SVT_SPEEDS = ("12", "11", "10", "9", "8", "7", "5", "4", "3")
NVENC_SPEEDS = ("p1", "p1", "p2", "p3", "p3", "p4", "p5", "p6", "p7")
# The choices of ``--decoder``: the CPU's decoders, and those of devices, with FFmpeg's names for these.
CPU = "cpu"
HARDWARE_DECODERS = {"nvdec": "cuda"}


@dataclass(frozen=True)
class Codec:
    """One choice of ``--codec``. ``formats``: pixel formats by (bits per channel, with alpha).

    ``odd``: pixel formats for odd sizes, by bits per channel, if those in ``formats`` need even ones. ``segments``: the
    container of a chunk's file. ``unpacked``: chunks are lossless and are converted to pictures, or a GIF, at the end.
    ``crf``: the default quality, None without such an option, between ``best_crf`` and ``worst_crf``. ``quality``: the
    encoder's name for that option. ``speeds``: the encoder's names for ``SPEEDS``. ``tag``: the codec's name in
    QuickTime containers. ``smallest``: the smallest (width, height). ``even``: odd sizes are not possible.
    ``software``: for a codec of a GPU, the codec in this table that replaces it on machines without the GPU.
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
    best_crf: int = 0
    worst_crf: int = 51
    quality: str = "crf"
    speeds: tuple[str, ...] = SPEEDS
    tag: str = ""
    smallest: tuple[int, int] = (1, 1)
    even: bool = False
    software: str = ""

    @property
    def depths(self) -> tuple[int, ...]:
        """The supported bits per channel, ascending."""
        return tuple(sorted({depth for depth, _ in self.formats}))

    def has_alpha(self, depth: int) -> bool:
        """Return whether the codec keeps alpha at this depth."""
        return (depth, True) in self.formats

    def pix_fmt(self, depth: int, alpha: bool, width: int, height: int) -> str:
        """Return the pixel format for pictures of this depth and size, with or without alpha."""
        if (width % 2 or height % 2) and depth in self.odd:
            return self.odd[depth]
        return self.formats[depth, alpha]


_FFV1 = (("level", "3"), ("slices", "4"), ("threads", "1"))
_RGB_8 = {(8, False): "bgr0", (8, True): "bgra"}
_RGB_16 = {(16, False): "gbrp16le", (16, True): "gbrap16le"}
_RGB = _RGB_8 | _RGB_16
_420 = {(8, False): "yuv420p", (10, False): "yuv420p10le"}
_444 = {8: "yuv444p", 10: "yuv444p10le"}


def _nvenc(software: str, encoder: str, crf: int, *, worst_crf: int = 51, tag: str = "") -> Codec:
    """Return NVENC's codec for the format of ``software``, for 4:2:0 pictures of even sizes.

    Constant quality: a variable rate without a limit or a mean. A segment begins with an IDR frame and refers to
    nothing before it; the GOP length is x264's. Without look-ahead NVENC starts no GOP at a cut. The number of B frames
    is set, because its default depends on preset and driver, and before Turing H.265 has none. H.264 of 10 bits is left
    out: few GPUs have it. On one GPU with one driver, equal pictures are expected to give equal bytes.
    """
    b_frames = "2" if software == "h264" else "0"
    return Codec(
        encoder,
        f"{software} by an NVIDIA GPU's encoder: quick; without one, {software} itself",
        ("mp4", "mkv", "webm") if software == "av1" else ("mp4", "mov", "mkv"),
        {(8, False): "yuv420p"} if software == "h264" else {(8, False): "yuv420p", (10, False): "p010le"},
        options=(("tune", "hq"), ("rc", "vbr"), ("b", "0"), ("g", "250"), ("bf", b_frames), ("rc-lookahead", "0")),
        crf=crf,
        best_crf=1,  # 0 is NVENC's own choice
        worst_crf=worst_crf,
        quality="cq",
        speeds=NVENC_SPEEDS,
        tag=tag,
        smallest=(192, 128),  # the least differs from GPU to GPU
        even=True,
        software=software,
    )


# Options that affect an encoder's bytes (threads, processor instructions) are fixed, independent of the machine.
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
        speeds=SVT_SPEEDS,
    ),
    "h264-nvenc": _nvenc("h264", "h264_nvenc", 19),
    "h265-nvenc": _nvenc("h265", "hevc_nvenc", 21, tag="hvc1"),
    "av1-nvenc": _nvenc("av1", "av1_nvenc", 26, worst_crf=63),
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
LOSSLESS = ("ffv1", "png")  # every pixel of RGB is kept
# Endings of results, each of which stands for a codec or a container.
ENDINGS = (*CONTAINERS, *PICTURES, "gif")


def codecs_with_alpha() -> list[str]:
    """Return the names of the codecs that keep transparency."""
    return [name for name, codec in CODECS.items() if any(alpha for _, alpha in codec.formats)]


def codecs_with_depth() -> list[str]:
    """Return the names of the CPU codecs that keep more than 8 bits per channel by default."""
    return [name for name, codec in CODECS.items() if name != "h264" and not codec.software and max(codec.depths) > 8]
