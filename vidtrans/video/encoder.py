"""Encoding frames into segments, and the lossless store of raw outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np

from vidtrans.errors import MediaError, UsageError
from vidtrans.settings import Table, setting
from vidtrans.video.colour import FromRGB, tag_bt709
from vidtrans.video.picture import PICTURE_SUFFIXES

# x264's bytes depend on its thread count, so it is fixed and never follows the machine's.
ENCODER_THREADS = 4
_AVX_512F = 13  # OpenCV's number for the feature; its Python module does not name it


@dataclass(frozen=True)
class Codec:
    """A choice of ``--codec``: the encoder, its pixel format, and the containers it may live in."""

    encoder: str
    pix_fmt: str
    odd_pix_fmt: str  # where chroma subsampling cannot hold an odd size
    containers: tuple[str, ...]
    summary: str
    options: tuple[tuple[str, str], ...] = ()


CODECS = {
    "h264": Codec(
        "libx264",
        "yuv420p",
        "yuv444p",
        ("mp4", "mov", "mkv"),
        "plays everywhere",
        (("threads", str(ENCODER_THREADS)),),
    ),
    "ffv1": Codec(
        "ffv1",
        "bgr0",
        "bgr0",
        ("mkv",),
        "lossless RGB, for archives and further work",
        (("level", "3"), ("slices", "4"), ("threads", "1")),
    ),
    # Chunks are kept as FFV1, and unpacked when all are there.
    "png": Codec(
        "ffv1",
        "bgr0",
        "bgr0",
        ("png",),
        "a picture a frame, in a folder",
        (("level", "3"), ("slices", "4"), ("threads", "1")),
    ),
}
AUTO = "auto"
PICTURES = "png"
CONTAINERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska"}


@dataclass(frozen=True)
class EncodingSettings:
    """How the result is written."""

    codec: str = setting(
        "auto", "codec of the result; auto: png for pictures, h264 for videos", choices=("auto", *CODECS)
    )
    crf: int = setting(18, "x264's quality: lower is better and bigger", low=0, high=51)
    preset: str = setting(
        "medium",
        "x264's speed",
        choices=(
            "ultrafast",
            "superfast",
            "veryfast",
            "faster",
            "fast",
            "medium",
            "slow",
            "slower",
            "veryslow",
        ),
    )

    def for_key(self) -> Table:
        """What of the settings decides the bytes: crf and preset are x264's alone."""
        ours = ("codec", "crf", "preset") if self.codec == "h264" else ("codec",)
        return {name: getattr(self, name) for name in ours}

    def resolved(self, *, pictures: bool, output: Path | None) -> EncodingSettings:
        """With a codec in place of ``auto``: what the output's ending asks for, else what suits the source."""
        if self.codec != AUTO:
            return self
        ending = output.suffix.lower().lstrip(".") if output else ""
        wants_pictures = ending == "png" or (pictures and ending not in CONTAINERS)
        return replace(self, codec=PICTURES if wants_pictures else "h264")

    @property
    def makes_pictures(self) -> bool:
        return self.codec == PICTURES

    def default_suffix(self, *, single: bool) -> str:
        """The ending of a result; a folder of pictures has none."""
        if self.makes_pictures and not single:
            return ""
        return "." + CODECS[self.codec].containers[0]

    def check_container(self, output: Path, *, single: bool) -> None:
        """Raises UsageError where ``output``'s container cannot hold the codec; ``single``: there is one frame."""
        ending = output.suffix.lower().lstrip(".")
        if self.makes_pictures:
            if single and ending != "png":
                raise UsageError(str(output), "a picture is written as .png", f"use -o {output.with_suffix('.png')}")
            if "." + ending in PICTURE_SUFFIXES and ending != "png":
                raise UsageError(str(output), "pictures are written as .png", f"use -o {output.with_suffix('.png')}")
            if not single and ending in (*CONTAINERS, "png"):
                raise UsageError(str(output), "several pictures go into a folder", f"use -o {output.with_suffix('')}")
            return
        containers = CODECS[self.codec].containers
        if ending not in containers:
            names = ", ".join("." + c for c in containers)
            where = f"to '{output.suffix}'" if output.suffix else "without an ending"
            raise UsageError(str(output), f"{self.codec} cannot be written {where}", f"use {names}")


@dataclass(frozen=True)
class PictureFormat:
    """Size, pixel aspect and time base of what is written."""

    width: int
    height: int
    sample_aspect_ratio: Fraction
    time_base: Fraction
    rate: Fraction


def _reproducible_x264() -> dict[str, str]:
    """Keep x264 off its AVX-512 code, with which equal pictures did not always give equal bytes.

    Measured on a busy machine, x264 core 165, one thread: 106 of 600 encodes of the same five frames differed;
    with AVX2 none of 600 did, in the same time.
    """
    return {"x264-params": "asm=AVX2"} if cv2.checkHardwareSupport(_AVX_512F) else {}


class SegmentWriter:
    """Encodes one chunk as a stream of its own, starting with a keyframe, into a NUT file.

    Timestamps in the file count from the chunk's start; ``join`` puts the clip's own back.
    """

    def __init__(self, path: Path, picture: PictureFormat, settings: EncodingSettings) -> None:
        codec = CODECS[settings.codec]
        odd = picture.width % 2 or picture.height % 2
        pix_fmt = codec.odd_pix_fmt if odd else codec.pix_fmt
        options = dict(codec.options)
        if codec.encoder == "libx264":
            options |= {"crf": str(settings.crf), "preset": settings.preset} | _reproducible_x264()
        self._first: int | None = None
        self._from_rgb = FromRGB(picture.width, picture.height, pix_fmt)
        self._container = av.open(f"file:{path}", "w", format="nut", options={"fflags": "+bitexact"})
        try:
            stream: Any = self._container.add_stream(codec.encoder, rate=picture.rate, options=options)
            stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, pix_fmt
            stream.codec_context.time_base = picture.time_base
            stream.codec_context.sample_aspect_ratio = picture.sample_aspect_ratio
            stream.codec_context.flags |= 1 << 23  # bitexact: no version stamps
            if pix_fmt.startswith("yuv"):
                tag_bt709(stream.codec_context)
        except BaseException:
            self._container.close()
            raise
        self._stream, self._time_base = stream, picture.time_base

    def write(self, rgb: np.ndarray, pts: int) -> None:
        """Encode one (h, w, 3) uint8 picture, scaled to the output's size. ``pts`` must increase."""
        if self._first is None:
            self._first = pts
        frame = self._from_rgb(rgb)
        frame.pts, frame.time_base = pts - self._first, self._time_base
        self._mux(frame)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            packets = self._stream.encode(frame)
        except av.error.FFmpegError as error:
            raise MediaError("encoding", str(error.strerror).lower(), "try another --codec or --size") from None
        self._container.mux(packets)

    def close(self) -> None:
        """Write what the encoder still holds and close the file."""
        if self._first is not None:
            self._mux(None)
        self._container.close()

    def abandon(self) -> None:
        self._container.close()


class LosslessWriter:
    """Raw outputs of the model, kept so that another filter or codec never infers again.

    H.264 in RGB at quantiser 0: lossless, and measured at a fifth of FFV1's time and half of its size.
    """

    def __init__(self, path: Path, width: int, height: int) -> None:
        self._container = av.open(f"file:{path}", "w", format="nut", options={"fflags": "+bitexact"})
        options = {"qp": "0", "preset": "ultrafast", "threads": "1"} | _reproducible_x264()
        stream: Any = self._container.add_stream("libx264rgb", rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "rgb24"
        stream.codec_context.flags |= 1 << 23
        self._stream = stream
        self._count = 0

    def write(self, rgb: np.ndarray) -> None:
        """(height, width, 3) uint8."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame.pts = self._count
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        self._container.close()


def read_lossless(path: Path) -> Iterator[np.ndarray]:
    """The pictures of a LosslessWriter, bit for bit: (height, width, 3) uint8 each."""
    try:
        with closing(av.open(f"file:{path}", format="nut")) as container:
            for frame in container.decode(video=0):
                yield frame.reformat(format="rgb24").to_ndarray()
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(str(path), f"a damaged cache file ({error})", "run the command again") from None
