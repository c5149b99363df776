"""Decode and encode on a GPU's video engine, after a trial has shown that it works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import av
import av.error
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vidtrans.core.errors import MediaError
from vidtrans.video.io.codecs import CODECS, HARDWARE_DECODERS, SPEEDS
from vidtrans.video.io.container import open_media, picture_stream

# Formats whose standards fix every sample of a decoded picture: every decoder gives the same ones. MPEG-2 and MPEG-4
# leave the rounding of their transform open. FFmpeg decodes AV1 with dav1d, which runs on no GPU.
EXACT_CODECS = ("h264", "hevc", "vp9")
# The layouts in which 4:2:0 pictures of 8 and 10 bits come from a GPU; ToRGB makes of them, to the bit, what it makes
# of the CPU's planes.
LAYOUTS = ("nv12", "p010le")
PIX_FMTS = ("yuv420p", "yuvj420p", "yuv420p10le")  # the CPU's for these
# Errors of PyAV where FFmpeg, the driver or the format lacks a feature.
_MISSING = (av.error.FFmpegError, OSError, ValueError, RuntimeError)
TRIAL_SIZE = 256
TRIAL_FRAMES = 4

_Opened = tuple[InputContainer, VideoStream]


@cache
def encoder_problem(name: str) -> str:
    """Return why a codec cannot be used here, from a trial encode; '' where it works. Tried once per process."""
    codec = CODECS[name]
    options = dict(codec.options) | {codec.quality: str(codec.crf), "preset": codec.speeds[SPEEDS.index("medium")]}
    try:
        for pix_fmt in codec.formats.values():
            context = av.CodecContext.create(codec.encoder, "w")
            assert isinstance(context, VideoCodecContext)
            context.width, context.height, context.pix_fmt = TRIAL_SIZE, TRIAL_SIZE, pix_fmt
            context.time_base, context.options = Fraction(1, 25), options
            packets = []
            for pts in range(TRIAL_FRAMES):
                frame = av.VideoFrame(TRIAL_SIZE, TRIAL_SIZE, pix_fmt)
                frame.pts, frame.time_base = pts, context.time_base
                packets += context.encode(frame)
            if len(packets + context.encode(None)) != TRIAL_FRAMES:
                return f"{codec.encoder} lost frames of a trial"
    except _MISSING as error:
        return _reason(codec.encoder, error)
    return ""


@cache
def decoder_problem(name: str, device: str = "") -> str:
    """Return why the decoder ``name`` cannot be used on the GPU ``device`` ('': the first one); '' where it can."""
    try:
        HWAccel(HARDWARE_DECODERS[name], device=device or None).create(av.Codec("h264", "r"))
    except _MISSING as error:
        return _reason(name, error)
    return ""


def _reason(name: str, error: Exception) -> str:
    if isinstance(error, PermissionError):  # so FFmpeg says that it cannot load the driver's library
        return "no NVIDIA driver is found"
    return f"{name}: {str(getattr(error, 'strerror', None) or error).lower()}"


class HardwareDecodeError(Exception):
    """The error of a GPU that could not decode a packet, which the CPU may decode."""


class HardwareDecoder:
    """Decodes one clip on a GPU's video engine until that fails; then the CPU decodes, and ``report`` gets the reason.

    ``name``: a key of ``HARDWARE_DECODERS``; ``device``: the number of the GPU, '' for the first. All readers of the
    clip share this object, in any thread.
    """

    def __init__(self, name: str, device: str, report: Callable[[str], None]) -> None:
        self.name, self.device, self._report = name, device, report
        self._works, self._lock = True, Lock()

    def open(self, path: Path, codec: str, pix_fmt: str, stack: ExitStack) -> _Opened | None:
        """Open a video for decoding on the GPU, until ``stack`` ends; None where the CPU has to decode it.

        ``codec`` and ``pix_fmt``: of the file, by FFmpeg's names.
        """
        if not self._works:
            return None
        if codec not in EXACT_CODECS or pix_fmt not in PIX_FMTS:
            self.give_up(f"it is {codec}, {pix_fmt}")
            return None
        try:
            return stack.enter_context(open_accelerated(path, HARDWARE_DECODERS[self.name], self.device))
        except MediaError:  # its text is about the file, which the CPU has opened
            self.give_up("the GPU cannot open it")
        except _MISSING as error:
            self.give_up(_reason(self.name, error))
        return None

    def give_up(self, why: str) -> None:
        """Switch the clip to the CPU for good, and report why."""
        with self._lock:
            if not self._works:
                return
            self._works = False
        self._report(why)


@contextmanager
def open_accelerated(path: Path, device_type: str, device: str) -> Iterator[_Opened]:
    """Open a video for decoding on a device. Raises MediaError, or PyAV's errors without such a device.

    The fallback to software is disabled: frames that the device cannot decode raise an error.
    """
    hwaccel = HWAccel(device_type, device=device or None, allow_software_fallback=False)
    with open_media(path, hwaccel) as container:
        stream = picture_stream(container, path)
        if not stream.codec_context.is_hwaccel:
            raise RuntimeError(f"{stream.codec_context.name} is not decoded by it")
        stream.codec_context.thread_count = 1  # the device has its own, and the standard's order of frames
        yield container, stream


def decode_accelerated(context: VideoCodecContext, packet: Packet[Any], size: tuple[int, int]) -> list[av.VideoFrame]:
    """Decode a packet on the device; frames are in main memory, in one of ``LAYOUTS``.

    Raises HardwareDecodeError where it fails, and where frames are not of this ``size`` (width, height): FFmpeg crops
    pictures on a device at two sides only.
    """
    try:
        frames = context.decode(packet)
    except (av.error.FFmpegError, OSError) as error:
        raise HardwareDecodeError(str(error)) from None
    for frame in frames:
        if frame.format.name not in LAYOUTS or (frame.width, frame.height) != size:
            raise HardwareDecodeError(f"its frames come as {frame.format.name}, {frame.width}x{frame.height}")
    return frames
