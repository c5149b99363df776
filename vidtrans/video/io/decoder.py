"""Decode one video file: its frames in order of presentation, deinterlaced."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from math import floor
from pathlib import Path
from typing import Any

import av
import av.error
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vidtrans.core.errors import MediaError
from vidtrans.video.colour.tags import UNSPECIFIED
from vidtrans.video.frame_format import MAX_PIXELS
from vidtrans.video.io.container import (
    QUICKTIME,
    colour_tags,
    describe,
    open_media,
    open_unedited,
    packets_of,
    picture_stream,
)
from vidtrans.video.io.deinterlacing import deinterlace
from vidtrans.video.io.hardware import HardwareDecodeError, HardwareDecoder, decode_accelerated
from vidtrans.video.io.one_clock import MAX_DEMUX_ERRORS, OneClock, zero_s

# A header may round, and a track end a little early.
SHORT_S, SHORT_SHARE = 0.5, 0.02


@dataclass
class DecodeLosses:
    """Counts of damage that a tolerant decoder skipped, and of all packets and interlaced frames of that pass."""

    lost: int = 0  # packets
    flawed: int = 0  # frames
    interlaced: int = 0  # frames; no loss
    packets: int = 0
    hidden: int = 0  # packets that an edit list leaves out
    headless: int = 0  # packets before the first keyframe
    gaps: int = 0  # gaps in the container
    restarts: int = 0  # of the clock; no loss
    shifted: int = 0  # packets whose times were put on the first clock; no loss
    at_s: float | None = None  # of the first damage
    times: array[int] = field(default_factory=lambda: array("q"))  # of packets that no edit list leaves out

    def set_start(self, damaged: Packet[Any] | av.VideoFrame) -> None:
        """Set the time of the first damage, unless it is already set."""
        if self.at_s is None and damaged.pts is not None and damaged.time_base is not None:
            self.at_s = float(damaged.pts * damaged.time_base)


class Decoder:
    """A decoder of the video stream of a file. Use as a context manager.

    ``threads`` of the decoder (0: one per processor core). ``tolerant``: count what cannot be decoded in ``losses``
    instead of raising MediaError, in one thread, because the number of threads changes how damage decodes.
    ``hardware``: decodes instead of the CPU until it fails. The CPU then repeats the work, so that frames and damage
    reports do not depend on the device.
    """

    def __init__(
        self, path: Path, threads: int = 0, *, tolerant: bool = False, hardware: HardwareDecoder | None = None
    ) -> None:
        self.path, self.threads, self.tolerant = path, threads, tolerant
        self._hardware = None if tolerant else hardware  # counting damage needs the CPU's errors

    def __enter__(self) -> Decoder:
        with ExitStack() as stack:
            self.container = stack.enter_context(open_media(self.path))
            self.stream = picture_stream(self.container, self.path)
            self.info = describe(self.container, self.stream, self.path)
            with_alpha = _alpha_decoder(self.stream)
            self._context = with_alpha or self.stream.codec_context
            self._tags = colour_tags(self.stream)
            self._context.thread_type = "AUTO"
            self._context.thread_count = 1 if self.tolerant else self.threads
            self.losses = DecodeLosses()
            self._software = (self.container, self.stream, self._context)
            self._sought: int | None = None
            self.is_accelerated = False
            if self._hardware and not with_alpha:
                self._accelerate(self._hardware, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _accelerate(self, hardware: HardwareDecoder, stack: ExitStack) -> None:
        """Open the file a second time, for the device; the first one is for the CPU if the device fails."""
        if opened := hardware.open(self.path, self.info.codec, self.info.pix_fmt, stack):
            self.container, self.stream = opened
            self._context = self.stream.codec_context
            self.is_accelerated = True

    def leave_hardware(self, why: str) -> None:
        """Switch to decoding on the CPU, from the position at which this reading began."""
        assert self._hardware is not None
        self._hardware.give_up(why)
        self.container, self.stream, self._context = self._software
        self.is_accelerated, self.losses = False, DecodeLosses()
        if self._sought is not None:
            self.seek(self._sought)

    def seek(self, pts: int) -> bool:
        """Seek to the keyframe before ``pts``. Return whether the container could seek."""
        try:
            self.container.seek(pts, stream=self.stream, backward=True)
            self._context.flush_buffers()
            self._sought = pts
            return True
        except (av.error.FFmpegError, OSError):
            return False

    def pictures(self, *, interlaced: bool | None = None, joined: bool = True) -> Iterator[av.VideoFrame]:
        """Yield the frames from the current position, deinterlaced. Raises MediaError.

        ``interlaced``: whether the clip has interlaced frames; None checks the first frame from here. ``joined``:
        whether it may be of several recordings, whose times are put on one clock, unless it was sought in.
        """
        self._joined = joined and self._sought is None
        frames = self._decoded()
        if interlaced is None:
            first = next(frames, None)
            if first is None:
                return
            interlaced, frames = first.interlaced_frame, chain([first], frames)
        yield from deinterlace(frames) if interlaced else frames

    def num_missing(self) -> int:
        """Return the number of frames that the container lists but does not hold; call it after reading to the end.

        QuickTime's headers list every frame. Those that an edit list leaves out are ``hidden``; FFmpeg gives no packets
        of most of them.
        """
        losses = self.losses
        missing = max(0, self.info.num_frames_from_header - losses.packets) if self.info.format == QUICKTIME else 0
        if missing:
            num_held = losses.packets
            with suppress(av.error.FFmpegError, OSError), closing(open_unedited(self.container)) as unedited:
                num_held = sum(1 for _ in packets_of(unedited, [unedited.streams[self.info.stream_index]]))
            edited = min(missing, max(0, num_held - losses.packets))
            losses.hidden, losses.packets, missing = losses.hidden + edited, losses.packets + edited, missing - edited
        return missing

    def num_lost(self, stamps: Sequence[int | None], *, ended: bool) -> int:
        """Return the number of packets without a frame: damaged, or before a keyframe. Arguments: see ``num_silent``.

        Decoders skip packets before the first keyframe without an error.
        """
        return self.losses.lost + max(0, min(self.losses.headless, self.num_silent(stamps, ended=ended)))

    def num_silent(self, stamps: Sequence[int | None], *, ended: bool) -> int:
        """Return the number of packets that gave neither a frame nor an error; 0 for VP8, which has hidden frames.

        ``stamps``: of the clip's frames from the first on. Unless the clip has ``ended`` with them, the decoder still
        holds packets, and only those shown before the last frame count.
        """
        losses = self.losses
        packets, num_frames = losses.packets - losses.hidden, len(stamps)
        if not ended and stamps and (last := stamps[-1]) is not None:
            packets, num_frames = sum(time < last for time in losses.times), num_frames - 1
        return 0 if self.info.codec == "vp8" else packets - losses.lost - num_frames

    def zero(self, first: int) -> int:
        """Return the timestamp that becomes 0 in a result; ``first``: that of the first frame."""
        base = self.info.time_base
        return floor(zero_s(self.container, self.stream, first * base) / base)

    def track_end(self) -> int:
        """Return the timestamp at which the track of a QuickTime file or MP4 ends; 0 for other containers.

        There a packet's duration is the step to the next packet in the order of decoding, so that of reordered frames
        it says nothing about the last one, which may be held for seconds, as in recordings of a screen.
        """
        stream = self.stream
        if self.info.format != QUICKTIME or stream.duration is None or stream.start_time is None:
            return 0
        return stream.start_time + stream.duration

    def short_s(self, last_pts: int) -> float:
        """Return the seconds at the end that Matroska's header lists and no track reaches; 0 for other containers.

        Other headers only guess. A video may be shorter than its sound: other tracks are read only if it seems cut off.
        """
        promised = self.container.duration
        if "matroska" not in self.info.format or not promised:
            return 0.0
        whole = promised / av.time_base
        reached = float(last_pts * self.info.time_base)
        allowed = max(SHORT_S, SHORT_SHARE * whole)
        if reached < whole - allowed:
            reached = max(reached, _last_time(self.path))
        return round(whole - reached, 3) if reached < whole - allowed else 0.0

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Decode packet by packet (decoding the container as a whole drops good frames around a bad packet)."""
        count = 0
        for packet in self._packets():
            try:
                frames = self._decode(packet)
            except HardwareDecodeError as error:
                self.leave_hardware(str(error))
                yield from islice(self._decoded(), count, None)
                return
            except (av.error.FFmpegError, OSError) as error:
                self._lose(packet, error, count)
                continue
            for frame in frames:
                count += 1
                if frame.is_corrupt:
                    self.losses.flawed += 1
                    self.losses.set_start(frame)
                self.losses.interlaced += frame.interlaced_frame
                for name, value in self._tags.items():
                    if getattr(frame, name) == UNSPECIFIED:
                        setattr(frame, name, value)
                yield frame

    def _decode(self, packet: Packet[VideoStream]) -> list[av.VideoFrame]:
        if self.is_accelerated:
            return decode_accelerated(self._context, packet, (self.info.width, self.info.height))
        return self._context.decode(packet)

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of the stream, and at the end the empty packet that flushes the decoder."""
        errors = 0
        clock = OneClock(self.path) if self._joined else None
        while errors <= MAX_DEMUX_ERRORS:
            try:
                for packet in self.container.demux(self.stream):
                    if clock is not None:
                        clock(packet)
                        self.losses.restarts, self.losses.shifted = clock.repair.restarts, clock.num_shifted
                    self._count(packet)
                    errors = 0
                    yield packet
                return
            except IndexError:  # as in packets_of: after the last packet, and ours is flushed by then
                return
            except (av.error.FFmpegError, OSError) as error:
                self._lose(None, error, self.losses.packets)
                errors += 1

    def _count(self, packet: Packet[VideoStream]) -> None:
        losses = self.losses
        losses.packets += packet.size > 0
        losses.hidden += packet.is_discard
        losses.gaps += packet.is_corrupt
        if packet.size and packet.pts is not None and not packet.is_discard:
            losses.times.append(packet.pts)
        if losses.headless == losses.packets - 1 and packet.size and not packet.is_keyframe:
            losses.headless += 1

    def _lose(self, packet: Packet[VideoStream] | None, error: Exception, count: int) -> None:
        if not self.tolerant:
            what = "no frame could be decoded" if not count else f"damaged after frame {count - 1}"
            why = f"{what} ({getattr(error, 'strerror', None) or error})"
            raise MediaError(str(self.path), why, "repair or convert it, or take what is left with --allow-damaged")
        self.losses.lost += 1
        if packet is not None:
            self.losses.set_start(packet)


def _last_time(path: Path) -> float:
    """Return the end of the last readable packet of any track, in seconds."""
    last = 0.0
    with open_media(path) as container, suppress(av.error.FFmpegError, OSError):
        for packet in packets_of(container):
            if packet.pts is not None:
                last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return last


def _alpha_decoder(stream: VideoStream) -> VideoCodecContext | None:
    """Return the decoder that also reads the alpha of VP8 and VP9, which FFmpeg's own ignore; else None."""
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return None
    context = av.CodecContext.create(name, "r")
    assert isinstance(context, VideoCodecContext)
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return context
