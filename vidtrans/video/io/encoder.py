"""Encoding frames into segments, and the lossless store of raw outputs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np

from vidtrans.errors import MediaError
from vidtrans.files import naming_disk_errors
from vidtrans.video.colour.conversion import FromRGB, tag_bt709
from vidtrans.video.io.codecs import CODECS
from vidtrans.video.io.container import open_generated
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat

# Ticks, and so frames at least, that lie between decoding and showing; no encoder reorders so far.
DECODED_BEFORE = 64
_AVX_512F = 13  # OpenCV's number for the feature; its Python module does not name it


def _reproducible_x264() -> dict[str, str]:
    """Keep x264 off its AVX-512 code, with which equal pictures did not always give equal bytes.

    Measured on a busy machine, x264 core 165, one thread: 106 of 600 encodes of the same five frames differed;
    with AVX2 none of 600 did, in the same time.
    """
    return {"x264-params": "asm=AVX2"} if cv2.checkHardwareSupport(_AVX_512F) else {}


class SegmentWriter:
    """Encodes one chunk as a stream of its own, starting with a keyframe, into a file of the codec's ``segments`` kind.

    Timestamps in the file count from the chunk's start; ``join`` puts the clip's own back.
    """

    def __init__(self, path: Path, picture: PictureFormat, settings: EncodingSettings) -> None:
        codec = settings.chunk_codec
        pix_fmt = codec.pix_fmt(picture.depth, picture.alpha, picture.width, picture.height)
        options = settings.encoder_options()
        if codec.encoder == "libx264":
            options |= _reproducible_x264()
        if codec.encoder == "ffv1" and min(picture.width, picture.height) < 2:
            options["slices"] = "1"  # four would be empty
        muxing = {"fflags": "+bitexact"}
        if codec.segments == "mov":
            muxing["video_track_timescale"] = str(picture.time_base.denominator)
        if codec.encoder == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # errors only: else it tells its settings on standard error
        self._path = path
        self._first: int | None = None
        self._count = 0
        self._from_rgb = FromRGB(picture.width, picture.height, pix_fmt)
        self._container = av.open(f"file:{path}", "w", format=codec.segments, options=muxing)
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

    def write(self, picture: np.ndarray, *stamps: int) -> None:
        """Encode one (h, w, 3 or 4) uint8 or uint16 picture, scaled to the output's size.

        ``stamps``: the times, in ticks, at each of which it is shown; they increase from call to call.
        """
        for pts in stamps:
            if self._first is None:
                self._first = pts
            frame = self._from_rgb(picture)
            frame.pts, frame.time_base = pts - self._first, self._time_base
            self._mux(frame)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            packets = self._stream.encode(frame)
        except av.error.FFmpegError as error:
            raise MediaError("encoding", str(error.strerror).lower(), "try another --codec or --size") from None
        for packet in packets:
            # What an encoder says here is random where it is given fewer frames than it reorders; ``join`` sets it.
            packet.dts = self._count - DECODED_BEFORE
            self._count += 1
            try:
                self._container.mux(packet)
            except Exception:
                with naming_disk_errors(self._path):
                    raise

    def close(self) -> None:
        """Write what the encoder still holds and close the file."""
        if self._first is not None:
            self._mux(None)
        with naming_disk_errors(self._path):
            self._container.close()

    def abandon(self) -> None:
        self._container.close()


class LosslessWriter:
    """Raw outputs of the model, kept so that another filter or codec never infers again.

    8 bits: H.264 in RGB at quantiser 0: lossless, and measured at a fifth of FFV1's time and half of its size.
    16 bits (``deep``): FFV1, as H.264 has no such thing.
    """

    def __init__(self, path: Path, width: int, height: int, *, deep: bool = False) -> None:
        self._container = av.open(f"file:{path}", "w", format="nut", options={"fflags": "+bitexact"})
        encoder, self._pix_fmt = ("ffv1", "gbrp16le") if deep else ("libx264rgb", "rgb24")
        options = dict(CODECS["ffv1"].options)
        if not deep:
            options = {"qp": "0", "preset": "ultrafast", "threads": "1"} | _reproducible_x264()
        stream: Any = self._container.add_stream(encoder, rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, self._pix_fmt
        stream.codec_context.flags |= 1 << 23
        self._stream = stream
        self._from_rgb = FromRGB(width, height, self._pix_fmt)
        self._count = 0

    def write(self, rgb: np.ndarray) -> None:
        """(height, width, 3) uint8, or uint16 where it is ``deep``."""
        frame = self._from_rgb(rgb)
        frame.pts = self._count
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        self._container.close()


_ARRAYS_OF = {"bgr0": "rgb24", "bgra": "rgba", "gbrp": "rgb24", "gbrp16le": "rgb48le", "gbrap16le": "rgba64le"}


def read_lossless(path: Path) -> Iterator[np.ndarray]:
    """The pictures of a lossless segment, bit for bit: (height, width, 3 or 4) uint8 or uint16 each."""
    try:
        with closing(open_generated(path, "nut")) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format=_ARRAYS_OF[frame.format.name])
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(str(path), f"a damaged cache file ({error})", "run the command again") from None
