"""Define the codecs of ``--codec``, the settings of the table ``[encoding]``, and the names of outputs.

FFmpeg is imported only to test whether a GPU's video engine works.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.events import Note, Report, ignore_event
from vidtrans.core.files import NUMBER
from vidtrans.core.options import Group, Names, option
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table, parse_rate
from vidtrans.video.frame_format import PICTURE_SUFFIXES

# FFmpeg's names of containers by file ending.
CONTAINERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}
# The choices of ``preset``: x264's and x265's names, from the fastest to the slowest.
SPEEDS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
# SVT-AV1's presets in the order of ``SPEEDS``; its numbers decrease with effort.
SVT_SPEEDS = ("12", "11", "10", "9", "8", "7", "5", "4", "3")
NVENC_SPEEDS = ("p1", "p1", "p2", "p3", "p3", "p4", "p5", "p6", "p7")  # NVENC's presets in the order of ``SPEEDS``
TRIAL_SIDE_PX, NUM_TRIAL_FRAMES = 256, 4  # Side in pixels, and number, of the square frames that test a GPU encoder
# The choice of ``--decoder`` for the CPU's decoders.
CPU = "cpu"
HARDWARE_DECODERS = {"nvdec": "cuda"}  # FFmpeg's device types by the choices of ``--decoder`` for GPUs
# FFV1 options (name, value): version 3, four slices, one thread.
_FFV1 = (("level", "3"), ("slices", "4"), ("threads", "1"))
# FFmpeg's RGB pixel formats of 8 bits, by (bits per channel, has alpha).
_RGB_8 = {(8, False): "bgr0", (8, True): "bgra"}
_RGB_16 = {(16, False): "gbrp16le", (16, True): "gbrap16le"}  # 16-bit RGB formats by (bits per channel, has alpha)
_RGB = _RGB_8 | _RGB_16  # RGB pixel formats of 8 and 16 bits by (bits per channel, has alpha)
_420 = {(8, False): "yuv420p", (10, False): "yuv420p10le"}  # 4:2:0 pixel formats by (bits per channel, has alpha)
_444 = {8: "yuv444p", 10: "yuv444p10le"}  # 4:4:4 pixel formats by bits per channel, for odd sizes
SPARE_CORES = 2  # Number of cores that are left to other work where several chunks are encoded side by side
PICTURES = ("png", "exr")  # Codecs whose results are picture files, one per frame
LOSSLESS = ("ffv1", "png")  # Names of codecs that keep all RGB values exactly
# File endings of results, each of which implies a codec or a container.
ENDINGS = (*CONTAINERS, *PICTURES, "gif")
AUTO = "auto"  # Value of ``codec`` and ``bit_depth`` that depends on the source and the output
# Most colours of a PNG's palette; matches a colour, #804080.
MAX_PALETTE_COLOURS, _COLOUR = 256, re.compile(r"#[0-9a-fA-F]{6}")
FFMPEG_PREFIX = "ffmpeg:"  # Prefix of an encoder of the user's own ffmpeg program, as in ffmpeg:h264_nvenc


@dataclass(frozen=True)
class Codec:
    """A codec of ``--codec``: an encoder with its pixel formats, options and containers.

    ``formats``: pixel formats by (bits per channel, has alpha). ``odd``: pixel formats for odd sizes, by bits per
    channel, if those in ``formats`` need even sizes. ``segments``: the container of a chunk's file. ``unpacked``:
    chunks are lossless and are converted to pictures, or a GIF, at the end. ``crf``: the default quality, between
    ``best_crf`` and ``worst_crf``; None without such an option. ``quality``: the encoder's name of that option.
    ``speeds``: the encoder's names for ``SPEEDS``. ``tag``: the codec's tag in QuickTime containers. ``smallest``: the
    smallest (width, height). ``even``: odd sizes are not possible. ``software``: for a codec of a GPU, the codec in
    this table that replaces it on machines without the GPU. ``threads``: the number of threads that an
    encoder takes, if it is not among the options; 0: unknown.
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
    threads: int = 0

    def side_by_side(self, cores: int) -> int:
        """Return how many chunks to encode side by side; ``cores`` minus ``SPARE_CORES`` are divided between them."""
        threads = self.threads or int(dict(self.options).get("threads", 0))
        return max(1, (cores - SPARE_CORES) // threads) if threads else 1

    @property
    def depths(self) -> tuple[int, ...]:
        """The supported bits per channel, ascending."""
        return tuple(sorted({depth for depth, _ in self.formats}))

    def has_alpha(self, depth: int) -> bool:
        """Return whether the codec keeps alpha with ``depth`` bits per channel."""
        return (depth, True) in self.formats

    def pix_fmt(self, depth: int, alpha: bool, width: int, height: int) -> str:
        """Return FFmpeg's pixel format for pictures with ``depth`` bits per channel, of a size in pixels."""
        if (width % 2 or height % 2) and depth in self.odd:
            return self.odd[depth]
        return self.formats[depth, alpha]


def _nvenc(software: str, encoder: str, crf: int, *, worst_crf: int = 51, tag: str = "") -> Codec:
    """Return an NVENC codec of the same format as the CPU codec ``software``, for 4:2:0 pictures of even sizes.

    Constant quality: a variable rate without a limit or a mean. A segment begins with an IDR frame and refers to
    nothing before it; the GOP length is x264's. Without look-ahead NVENC starts no GOP at a cut. The number of B frames
    is set, because its default depends on preset and driver, and H.265 has none before Turing. 10-bit H.264 is left
    out, as few GPUs have it. On one GPU with one driver, equal pictures are expected to give equal bytes. ``crf``: the
    default of NVENC's option ``cq``. ``worst_crf`` and ``tag``: as in ``Codec``.
    """
    b_frames = "2" if software == "h264" else "0"
    return Codec(
        encoder,
        f"{software} by the encoder of an NVIDIA GPU: fast; without such a GPU, {software}",
        ("mp4", "mkv", "webm") if software == "av1" else ("mp4", "mov", "mkv"),
        {(8, False): "yuv420p"} if software == "h264" else {(8, False): "yuv420p", (10, False): "p010le"},
        options=(("tune", "hq"), ("rc", "vbr"), ("b", "0"), ("g", "250"), ("bf", b_frames), ("rc-lookahead", "0")),
        crf=crf,
        best_crf=1,  # 0 lets NVENC choose
        worst_crf=worst_crf,
        quality="cq",
        speeds=NVENC_SPEEDS,
        tag=tag,
        smallest=(192, 128),  # The minimum differs between GPUs
        even=True,
        software=software,
    )


# Codecs by the names of ``--codec``. Options that affect an encoder's bytes, such as threads, are fixed.
CODECS = {
    "h264": Codec(
        "libx264",
        "plays on all devices",
        ("mp4", "mov", "mkv"),
        _420,
        odd=_444,
        options=(("threads", "4"),),
        crf=18,
    ),
    "h265": Codec(
        "libx265",
        "half of H.264's size, but slower to encode; 8 or 10 bits",
        ("mp4", "mov", "mkv"),
        _420,
        odd=_444,
        # Frame threads change the encoder's decisions, and their default number is that of the machine's cores.
        options=(("x265-params", "log-level=error:frame-threads=1:pools=2"),),
        threads=2,
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
        even=True,  # The encoder corrupts the last columns of some odd widths
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
    "png": Codec(
        "ffv1", "a PNG for each frame, 8 or 16 bits, with alpha", ("png",), _RGB, options=_FFV1, unpacked=True
    ),
    "exr": Codec(
        "ffv1",
        "an OpenEXR picture for each frame, linear light, half floats, with alpha",
        ("exr",),
        _RGB_16,
        options=_FFV1,
        unpacked=True,
    ),
    "gif": Codec("ffv1", "an animated GIF, 256 colours, for the web", ("gif",), _RGB_8, options=_FFV1, unpacked=True),
}


def codecs_with_alpha() -> list[str]:
    """Return the names of the codecs that keep alpha."""
    return [name for name, codec in CODECS.items() if any(alpha for _, alpha in codec.formats)]


def codecs_with_depth() -> list[str]:
    """Return the names of the CPU codecs that keep more than 8 bits per channel by default."""
    return [name for name, codec in CODECS.items() if name != "h264" and not codec.software and max(codec.depths) > 8]


@dataclass(frozen=True)
class PictureFormat:
    """The format of written pictures: size, pixel aspect, time base, rate, bits per channel, and use of alpha."""

    width: int
    height: int
    sample_aspect_ratio: Fraction
    time_base: Fraction
    rate: Fraction
    depth: int = 8
    alpha: bool = False

    @property
    def is_odd(self) -> bool:
        """Whether the width or the height is odd."""
        return bool(self.width % 2 or self.height % 2)


@dataclass(frozen=True)
class EncodingSettings:
    """The settings of encoding: codec, quality, frame rate, sound and a filter graph."""

    codec: str = option(
        AUTO,
        "Codec of the result, or ffmpeg:NAME for an encoder of your own ffmpeg. With auto, the codec follows "
        "from the file extension of -o. Without an extension, -o is a folder of png pictures. Without -o, "
        "pictures get png, videos h264.",
        Group.OUTPUT,
        choices=Names("vidtrans.video.io.encoding:CODECS", "codec", (AUTO,), prefix=FFMPEG_PREFIX),
        access="program",
        form="more",
    )
    bit_depth: str = option(
        AUTO, "bits per channel; auto: more than 8 if source and codec have them", choices=(AUTO, "8", "10", "16")
    )
    crf: int | None = option(
        None, "quality: lower values are better and give larger files; none: the codec's default", bounds=(0, 63)
    )
    preset: str = option("medium", "effort to make files small, in the words of x264", choices=SPEEDS)
    fps: str = option(
        "source",
        "Frames per second. source: every frame with its time. N: a constant rate; if it is at least 1.5 times "
        "the source's rate, new frames are interpolated.",
        Group.TIME,
        metavar="source|N",
        rare=True,
    )
    sound: str = option("copy", "sound tracks: copy (all, unchanged) or none", choices=("copy", "none"))
    options: str = option("", "options of an ffmpeg:NAME encoder: key=value,key=value")
    palette: str = option("", "palette of an indexed PNG, '#rrggbb …'; empty: the palette of a model of label maps")
    filter: str = option(
        "",
        "a filter graph for your own ffmpeg, applied to the result",
        Group.OUTPUT,
        metavar="GRAPH",
        access="program",
        rare=True,
    )

    def __post_init__(self) -> None:
        """Raise UsageError for settings that are invalid or do not suit the codec."""
        if self.codec == FFMPEG_PREFIX:
            raise UsageError("--codec ffmpeg:", "it names no encoder", "as in --codec ffmpeg:h264_nvenc")
        if self.codec != AUTO and not self.is_ffmpeg_encoder and self.codec not in CODECS:
            raise unknown_name("codec", self.codec, [AUTO, *CODECS])
        if self.crf is not None and self.codec in CODECS:
            best, worst = CODECS[self.codec].best_crf, CODECS[self.codec].worst_crf
            if self.crf > worst:
                raise UsageError(f"crf {self.crf}", f"the highest of {self.codec} is {worst}", "give a lower number")
            if self.crf < best:
                raise UsageError(f"crf {self.crf}", f"the lowest of {self.codec} is {best}", "give a higher number")
        if self.options and not self.is_ffmpeg_encoder:
            raise UsageError("encoding.options", "they are for --codec ffmpeg:NAME", "leave them out")
        colours = self.palette.split()
        if len(colours) > MAX_PALETTE_COLOURS or not all(_COLOUR.fullmatch(colour) for colour in colours):
            raise UsageError(
                "encoding.palette", f"it is not {MAX_PALETTE_COLOURS} colours or fewer", "write '#804080 #f423e8'"
            )
        self.rate  # noqa: B018  (validates ``fps``)

    @property
    def is_ffmpeg_encoder(self) -> bool:
        """Whether the codec is an encoder of the user's own ffmpeg."""
        return self.codec.startswith(FFMPEG_PREFIX)

    @property
    def needs_program(self) -> bool:
        """Whether the user's own ffmpeg program is needed, for the codec or the filter graph."""
        return self.is_ffmpeg_encoder or bool(self.filter)

    @property
    def chunk_codec(self) -> Codec:
        """The codec of chunks: lossless where the user's ffmpeg processes the chunks further."""
        return CODECS["ffv1" if self.needs_program else self.codec]

    @property
    def rate(self) -> Fraction | None:
        """The constant frame rate of ``fps``; None for the times of the source. Raises UsageError."""
        if self.fps == "source":
            return None
        with suppress(ValueError, ZeroDivisionError):
            rate = parse_rate(self.fps.strip()).limit_denominator(1001)
            ntsc = round(rate) * Fraction(1000, 1001)  # The exact NTSC rate, as 30000/1001 for 29.97
            if rate.denominator > 1 and abs(rate - ntsc) < Fraction(5, 1000):
                rate = ntsc
            if Fraction(1, 100) <= rate <= 1000:
                return rate
        remedy = "give a number from 0.01 to 1000, as 24 or 30000/1001, or source"
        raise UsageError(f"--fps {self.fps}", "it is not a frame rate", remedy)

    def stored(self, picture: PictureFormat) -> PictureFormat:
        """Return the pixel format of encoded chunks, whose bit depth may differ from the result's, ``picture``."""
        if picture.depth in self.chunk_codec.depths:
            return picture
        return replace(picture, depth=16 if picture.depth > 8 else 8)

    def for_key(self) -> Table:
        """Return the settings that affect the bytes of the result, for its cache key."""
        key: Table = {"codec": self.codec, "depth": self.bit_depth, "fps": str(self.rate), "sound": self.sound}
        key |= {name: getattr(self, name) for name in ("options", "filter", "palette") if getattr(self, name)}
        if not self.is_ffmpeg_encoder and (default_crf := CODECS[self.codec].crf) is not None:
            key |= {"crf": default_crf if self.crf is None else self.crf, "preset": self.preset}
        return key

    def chunk_key(self, picture: PictureFormat) -> Table:
        """Return all values that affect the bytes of a chunk, except its pictures, for its cache key."""
        codec = self.chunk_codec
        return {
            "encoder": codec.encoder,
            "pix_fmt": codec.pix_fmt(picture.depth, picture.alpha, picture.width, picture.height),
            "options": self.encoder_options(),
            "fps": str(self.rate),
        }

    def encoder_options(self) -> dict[str, str]:
        """Return the options of the encoder of chunks, by FFmpeg's names."""
        codec = self.chunk_codec
        options = dict(codec.options)
        if codec.crf is not None:
            options[codec.quality] = str(codec.crf if self.crf is None else self.crf)
            options["preset"] = codec.speeds[SPEEDS.index(self.preset)]
        return options

    def resolved(self, *, pictures: bool, output: Path | None, report: Report = ignore_event) -> EncodingSettings:
        """Return the settings with ``auto`` replaced by a codec: by the output's ending, else the kind of source.

        ``pictures``: the source consists of pictures. An output without an ending is a folder of pictures.

        A GPU codec that cannot be used here is replaced by the CPU codec of the same format, with a warning to
        ``report``. This happens before any cache key is computed from the settings.
        """
        if self.codec != AUTO:
            codec = CODECS.get(self.codec)
            if codec is None or not codec.software or not (why := encoder_problem(self.codec)):
                return self
            text = f"--codec {self.codec} cannot be used here ({why}): {codec.software} is used"
            report(Note(text, "warning", general=True))
            return replace(self, codec=codec.software)
        ending = output.suffix.lower().lstrip(".") if output else ""
        codec_by_ending = {"exr": "exr", "png": "png", "gif": "gif", "webm": "av1"}
        is_folder = output is not None and not ending
        default = "png" if is_folder or (pictures and ending not in CONTAINERS) else "h264"
        return replace(self, codec=codec_by_ending.get(ending, default))

    def depth_for(self, source_depth: int) -> int:
        """Return the bits per channel of the result, for a source's bits per channel. Raises UsageError."""
        if self.is_ffmpeg_encoder:
            return self._ffmpeg_depth()
        depths = CODECS[self.codec].depths
        if self.palette and self.codec == "png":
            return 8
        if self.bit_depth != AUTO:
            if int(self.bit_depth) not in depths:
                listed = " and ".join(map(str, depths))
                raise UsageError(
                    f"encoding.bit_depth {self.bit_depth}", f"{self.codec} has {listed} bits", f"use one of {listed}"
                )
            return int(self.bit_depth)
        # Few players support H.264 with 10 bits, so it must be requested.
        deepest = 8 if self.codec == "h264" else max(depths)
        return deepest if source_depth > 8 else min(depths)

    def _ffmpeg_depth(self) -> int:
        """Return the bits per channel of an ffmpeg:NAME encoder: of the pixel format in its options, else 8."""
        name = dict(item.partition("=")[::2] for item in self.options.split(",")).get("pix_fmt", "yuv420p")
        import av

        with suppress(ValueError):  # The user's ffmpeg may know a format that PyAV does not
            return max(c.bits for c in av.VideoFormat(name).components)
        return 8

    def check_size(self, picture: PictureFormat) -> None:
        """Raise UsageError if the codec cannot encode pictures of this size."""
        if self.is_ffmpeg_encoder:
            return
        codec, size = CODECS[self.codec], f"{picture.width}x{picture.height}"
        if picture.width < codec.smallest[0] or picture.height < codec.smallest[1]:
            minimum = "x".join(map(str, codec.smallest))
            other = codec.software or "prores, or ffv1"
            raise UsageError(f"--codec {self.codec}", f"it takes {minimum} and more, not {size}", f"use {other}")
        if codec.even and picture.is_odd:
            other = codec.software or "prores4444, or ffv1"
            raise UsageError(f"--codec {self.codec}", f"it takes even sizes, not {size}", f"use {other}")

    @property
    def makes_pictures(self) -> bool:
        """Whether the results are picture files, one per frame."""
        return self.codec in PICTURES

    def default_suffix(self, *, single: bool) -> str:
        """Return the file suffix of a result; '' for a folder of pictures. ``single``: it is one picture."""
        if self.makes_pictures and not single:
            return ""
        return "." + ("mp4" if self.is_ffmpeg_encoder else CODECS[self.codec].containers[0])

    def check_container(self, output: Path, *, single: bool) -> None:
        """Raise UsageError if ``output``'s suffix or ``crf`` does not suit the codec; ``single``: one picture."""
        if self.crf is not None and not self.is_ffmpeg_encoder and CODECS[self.codec].crf is None:
            raise UsageError("encoding.crf", f"{self.codec} has no such setting", "leave it out")
        ending = output.suffix.lower().lstrip(".")
        if self.makes_pictures:
            self._check_pictures(output, ending, single)
            return
        containers = tuple(CONTAINERS) if self.is_ffmpeg_encoder else CODECS[self.codec].containers
        if ending not in containers:
            names = ", ".join("." + c for c in containers)
            where = f"to '{output.suffix}'" if output.suffix else "without an ending"
            raise UsageError(str(output), f"{self.codec} cannot be written {where}", f"use {names}")

    def _check_pictures(self, output: Path, ending: str, single: bool) -> None:
        """Raise UsageError if an output's name does not suit pictures of the codec; ``single``: it is one picture."""
        suffix = f".{self.codec}"
        if ("." + ending in PICTURE_SUFFIXES or single) and ending != self.codec:
            raise UsageError(str(output), f"pictures are written as {suffix}", f"use -o {output.with_suffix(suffix)}")
        if not single and ending in ENDINGS:
            if "%" in output.name:
                remedy = f"write it as {output.parent / '%05d'}{output.suffix}"
                raise UsageError(str(output), "it is not a pattern for numbered pictures", remedy)
            why = "several pictures go into a folder"
            raise UsageError(str(output), why, f"use -o {output.with_suffix('')}")


def split_pattern(output: Path) -> tuple[Path, str]:
    """Split ``frames/%05d.png`` into its folder and the pattern; return (``output``, '') if it is no pattern.

    Raises UsageError where the folder is the current one, because numbered pictures need a separate folder.
    """
    if not NUMBER.search(output.name) or "." + output.suffix.lower().lstrip(".") not in PICTURE_SUFFIXES:
        return output, ""
    if len(NUMBER.findall(output.name)) > 1 or "%%" in output.name:
        raise UsageError(str(output), "a pattern has one number", f"use -o {output.parent / '%05d'}{output.suffix}")
    if output.parent.name in ("", ".."):
        raise UsageError(str(output), "numbered pictures go into a folder of their own", f"use -o frames/{output.name}")
    return output.parent, output.name


@cache
def encoder_problem(name: str) -> str:
    """Return why a codec cannot be used here, from a trial encode; '' if it works. Tried once per process."""
    import av.error  # Here, because settings do not need FFmpeg
    from av.video.codeccontext import VideoCodecContext

    codec = CODECS[name]
    options = dict(codec.options) | {codec.quality: str(codec.crf), "preset": codec.speeds[SPEEDS.index("medium")]}
    try:
        for pix_fmt in codec.formats.values():
            context = av.CodecContext.create(codec.encoder, "w")
            assert isinstance(context, VideoCodecContext)
            context.width, context.height, context.pix_fmt = TRIAL_SIDE_PX, TRIAL_SIDE_PX, pix_fmt
            context.time_base, context.options = Fraction(1, 25), options
            packets = []
            for pts in range(NUM_TRIAL_FRAMES):
                frame = av.VideoFrame(TRIAL_SIDE_PX, TRIAL_SIDE_PX, pix_fmt)
                frame.pts, frame.time_base = pts, context.time_base
                packets += context.encode(frame)
            if len(packets + context.encode(None)) != NUM_TRIAL_FRAMES:
                return f"{codec.encoder} lost frames of a trial"
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
        return hardware_reason(codec.encoder, error)
    return ""


@cache
def decoder_problem(name: str, device: str = "") -> str:
    """Return why the GPU decoder ``name`` cannot be used on the GPU ``device`` ('': the first one); '' if it works."""
    import av.error
    from av.codec.hwaccel import HWAccel

    try:
        HWAccel(HARDWARE_DECODERS[name], device=device or None).create(av.Codec("h264", "r"))
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
        return hardware_reason(name, error)
    return ""


def hardware_reason(name: str, error: Exception) -> str:
    """Return the reason, for a message, why a GPU's encoder or decoder cannot be used, from PyAV's error."""
    if isinstance(error, PermissionError):  # FFmpeg's error if it cannot load the driver's library
        return "no NVIDIA driver is found"
    return f"{name}: {str(getattr(error, 'strerror', None) or error).lower()}"
