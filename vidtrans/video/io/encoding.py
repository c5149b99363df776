"""The settings of the table ``[encoding]``, and the names of outputs."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.events import Note, Report, silent
from vidtrans.core.files import NUMBER
from vidtrans.core.options import Group, Names, option
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table, parse_rate
from vidtrans.video.frame_format import PICTURE_SUFFIXES
from vidtrans.video.io.codecs import CODECS, CONTAINERS, ENDINGS, PICTURES, SPEEDS, Codec

AUTO = "auto"
INDICES, COLOUR = 256, re.compile(r"#[0-9a-fA-F]{6}")  # of the palette of a PNG
# A codec of the user's own ffmpeg program: ffmpeg:h264_nvenc.
FFMPEG_PREFIX = "ffmpeg:"


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
        "codec of the result, or ffmpeg:NAME for an encoder of your own ffmpeg; auto: what the output's ending asks "
        "for (without an ending it is a folder of png), else png for pictures and h264 for videos",
        Group.OUTPUT,
        choices=Names("vidtrans.video.io.codecs:CODECS", "codec", (AUTO,), prefix=FFMPEG_PREFIX),
        access="program",
        form="more",
    )
    bit_depth: str = option(
        AUTO, "bits a channel; auto: more than 8 where source and codec have them", choices=(AUTO, "8", "10", "16")
    )
    crf: int | None = option(None, "quality: lower is better and bigger; none: the codec's usual", bounds=(0, 63))
    preset: str = option("medium", "how much effort is spent to make files small, in x264's words", choices=SPEEDS)
    fps: str = option(
        "source",
        "frames per second: source keeps every frame and its time, N makes the rate constant",
        Group.TIME,
        metavar="source|N",
        rare=True,
    )
    sound: str = option("copy", "all sound tracks are copied as they are, or none", choices=("copy", "none"))
    options: str = option("", "of an ffmpeg:NAME encoder: key=value,key=value")
    palette: str = option(
        "", "colours, '#rrggbb …', of which a PNG's pixels have the numbers; empty: those of a model of label maps"
    )
    filter: str = option(
        "",
        "a filter graph of your own ffmpeg, laid over the result",
        Group.OUTPUT,
        metavar="GRAPH",
        access="program",
        rare=True,
    )

    def __post_init__(self) -> None:
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
        if len(colours) > INDICES or not all(COLOUR.fullmatch(colour) for colour in colours):
            raise UsageError("encoding.palette", f"it is not {INDICES} colours or fewer", "write '#804080 #f423e8'")
        self.rate  # noqa: B018  (it raises)

    @property
    def is_ffmpeg_encoder(self) -> bool:
        """Whether the encoder is one of the user's own ffmpeg."""
        return self.codec.startswith(FFMPEG_PREFIX)

    @property
    def needs_program(self) -> bool:
        """Whether the user's own ffmpeg is needed."""
        return self.is_ffmpeg_encoder or bool(self.filter)

    @property
    def chunk_codec(self) -> Codec:
        """The codec of chunks; lossless where ffmpeg processes the chunks further."""
        return CODECS["ffv1" if self.needs_program else self.codec]

    @property
    def rate(self) -> Fraction | None:
        """The constant frame rate of ``fps``; None for the times of the source. Raises UsageError."""
        if self.fps == "source":
            return None
        with suppress(ValueError, ZeroDivisionError):
            rate = _as_broadcast(parse_rate(self.fps.strip()).limit_denominator(1001))
            if Fraction(1, 100) <= rate <= 1000:
                return rate
        raise UsageError(
            f"--fps {self.fps}",
            "it is not a frame rate",
            "give a number from 0.01 to 1000, as 24 or 30000/1001, or source",
        )

    def for_key(self) -> Table:
        """Return the settings that affect the bytes of the result, for its cache key."""
        key: Table = {"codec": self.codec, "depth": self.bit_depth, "fps": str(self.rate), "sound": self.sound}
        key |= {name: getattr(self, name) for name in ("options", "filter", "palette") if getattr(self, name)}
        if not self.is_ffmpeg_encoder and (usual := CODECS[self.codec].crf) is not None:
            key |= {"crf": usual if self.crf is None else self.crf, "preset": self.preset}
        return key

    def chunk_key(self, picture: PictureFormat) -> Table:
        """Return everything besides its pictures that affects the bytes of a chunk, for its cache key."""
        codec = self.chunk_codec
        return {
            "encoder": codec.encoder,
            "pix_fmt": codec.pix_fmt(picture.depth, picture.alpha, picture.width, picture.height),
            "options": self.encoder_options(),
            "fps": str(self.rate),
        }

    def encoder_options(self) -> dict[str, str]:
        """Return the encoder's options for a chunk."""
        codec = self.chunk_codec
        options = dict(codec.options)
        if codec.crf is not None:
            options[codec.quality] = str(codec.crf if self.crf is None else self.crf)
            options["preset"] = codec.speeds[SPEEDS.index(self.preset)]
        return options

    def resolved(self, *, pictures: bool, output: Path | None, report: Report = silent) -> EncodingSettings:
        """Return the settings with ``auto`` replaced by a codec: by the output's ending, else by the kind of source.

        An output without an ending is a folder, and so for pictures.

        A GPU codec that cannot be used here is replaced by the CPU codec of the same format, with a warning to
        ``report``, before any cache key is made of the settings.
        """
        if self.codec != AUTO:
            from vidtrans.video.io.hardware import encoder_problem  # it imports FFmpeg, which settings do not need

            codec = CODECS.get(self.codec)
            if codec is None or not codec.software or not (why := encoder_problem(self.codec)):
                return self
            text = f"--codec {self.codec} cannot be used here ({why}): {codec.software} is used"
            report(Note(text, "warning", general=True))
            return replace(self, codec=codec.software)
        ending = output.suffix.lower().lstrip(".") if output else ""
        of_ending = {"exr": "exr", "png": "png", "gif": "gif", "webm": "av1"}
        is_folder = output is not None and not ending
        usual = "png" if is_folder or (pictures and ending not in CONTAINERS) else "h264"
        return replace(self, codec=of_ending.get(ending, usual))

    def depth_for(self, source: int) -> int:
        """Return the bits per channel of the result; ``source``: those of the source. Raises UsageError."""
        if self.is_ffmpeg_encoder:
            return self._ffmpeg_depth()
        depths = CODECS[self.codec].depths
        if self.palette and self.codec == "png":
            return 8
        if self.bit_depth != AUTO:
            if int(self.bit_depth) not in depths:
                has = " and ".join(map(str, depths))
                raise UsageError(
                    f"encoding.bit_depth {self.bit_depth}", f"{self.codec} has {has} bits", f"use one of {has}"
                )
            return int(self.bit_depth)
        # Few players support H.264 with 10 bits, so it must be requested.
        deepest = 8 if self.codec == "h264" else max(depths)
        return deepest if source > 8 else min(depths)

    def _ffmpeg_depth(self) -> int:
        """Return the bit depth of an ffmpeg:NAME encoder: of the pixel format in its options, else 8."""
        name = dict(item.partition("=")[::2] for item in self.options.split(",")).get("pix_fmt", "yuv420p")
        import av

        with suppress(ValueError):  # the program may know it
            return max(c.bits for c in av.VideoFormat(name).components)
        return 8

    def check_size(self, picture: PictureFormat) -> None:
        """Raise UsageError where the codec cannot hold pictures of this size."""
        if self.is_ffmpeg_encoder:
            return
        codec, size = CODECS[self.codec], f"{picture.width}x{picture.height}"
        if picture.width < codec.smallest[0] or picture.height < codec.smallest[1]:
            least = "x".join(map(str, codec.smallest))
            other = codec.software or "prores, or ffv1"
            raise UsageError(f"--codec {self.codec}", f"it takes {least} and more, not {size}", f"use {other}")
        if codec.even and picture.is_odd:
            other = codec.software or "prores4444, or ffv1"
            raise UsageError(f"--codec {self.codec}", f"it takes even sizes, not {size}", f"use {other}")

    @property
    def makes_pictures(self) -> bool:
        """Whether the result consists of picture files."""
        return self.codec in PICTURES

    def default_suffix(self, *, single: bool) -> str:
        """Return the file ending of a result; '' for a folder of pictures."""
        if self.makes_pictures and not single:
            return ""
        return "." + ("mp4" if self.is_ffmpeg_encoder else CODECS[self.codec].containers[0])

    def check_container(self, output: Path, *, single: bool) -> None:
        """Raise UsageError where ``output``'s suffix or ``crf`` does not suit the codec; ``single``: one picture."""
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
        own = f".{self.codec}"
        if ("." + ending in PICTURE_SUFFIXES or single) and ending != self.codec:
            raise UsageError(str(output), f"pictures are written as {own}", f"use -o {output.with_suffix(own)}")
        if not single and ending in ENDINGS:
            if "%" in output.name:
                remedy = f"write it as {output.parent / '%05d'}{output.suffix}"
                raise UsageError(str(output), "it is not a pattern for numbered pictures", remedy)
            why = "several pictures go into a folder"
            raise UsageError(str(output), why, f"use -o {output.with_suffix('')}")


def _as_broadcast(rate: Fraction) -> Fraction:
    """Return the exact NTSC rate for a rounded one (30000/1001 for 29.97); other rates do not change."""
    exact = round(rate) * Fraction(1000, 1001)
    return exact if rate.denominator > 1 and abs(rate - exact) < Fraction(5, 1000) else rate


def split_pattern(output: Path) -> tuple[Path, str]:
    """Split ``frames/%05d.png`` into its folder and the pattern; return (``output``, '') if it is not a pattern.

    Raises UsageError where the folder is the current one, because a result needs a folder of its own.
    """
    if not NUMBER.search(output.name) or "." + output.suffix.lower().lstrip(".") not in PICTURE_SUFFIXES:
        return output, ""
    if len(NUMBER.findall(output.name)) > 1 or "%%" in output.name:
        raise UsageError(str(output), "a pattern has one number", f"use -o {output.parent / '%05d'}{output.suffix}")
    if output.parent.name in ("", ".."):
        raise UsageError(str(output), "numbered pictures go into a folder of their own", f"use -o frames/{output.name}")
    return output.parent, output.name
