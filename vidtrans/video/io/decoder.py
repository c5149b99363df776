"""One open video file and the pictures that its decoder hands over, in order of presentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from vidtrans.errors import MediaError
from vidtrans.video.io.container import describe, open_media, packets_of, picture_stream
from vidtrans.video.io.deinterlace import deinterlace
from vidtrans.video.limits import MAX_PIXELS

# Those of the demuxers that list every frame of a file, so that one which is not there is known to be missing.
LISTS_FRAMES = "mov,mp4,m4a,3gp,3g2,mj2"
# Of damage that the demuxer stumbles over, so often in a row is tried to read on behind it.
MAX_DEMUX_ERRORS = 64
# A header may round, and a track end a little early.
SHORT_S, SHORT_SHARE = 0.5, 0.02


@dataclass
class DecodeLosses:
    """What a tolerant reading lost, and when it began to."""

    lost: int = 0  # packets
    flawed: int = 0  # frames
    interlaced: int = 0  # frames; no loss, but counted in the same pass
    packets: int = 0
    hidden: int = 0  # packets that an edit list leaves out
    headless: int = 0  # packets before the first keyframe
    gaps: int = 0  # places where the container misses something
    at_s: float | None = None

    def note(self, packet_or_frame: Any) -> None:
        """Remember where the first damage is."""
        if self.at_s is None and packet_or_frame is not None and packet_or_frame.pts is not None:
            self.at_s = float(packet_or_frame.pts * packet_or_frame.time_base)


class Decoder:
    """Decodes the picture stream of a file. Use as a context manager.

    ``threads`` for the decoder (0: as many as the machine has). ``tolerant``: what cannot be decoded is passed over and
    counted in ``losses``; else it raises MediaError. A tolerant decoder uses one thread: what becomes of
    damage depends on how many there are.
    """

    def __init__(self, path: Path, threads: int = 0, *, tolerant: bool = False) -> None:
        self.path, self.threads, self.tolerant = path, threads, tolerant

    def __enter__(self) -> Decoder:
        self._media = open_media(self.path)
        self.container: InputContainer = self._media.__enter__()
        try:
            self.stream: VideoStream = picture_stream(self.container, self.path)
            self.info = describe(self.container, self.stream, self.path)
            self._alpha = _alpha_decoder(self.stream)
            context = self._alpha or self.stream.codec_context
            context.thread_type = "AUTO"
            context.thread_count = 1 if self.tolerant else self.threads
        except BaseException:
            self.container.close()
            raise
        self.losses = DecodeLosses()
        return self

    def __exit__(self, *exc: object) -> None:
        self._media.__exit__(None, None, None)

    def seek(self, pts: int) -> bool:
        """Go to the keyframe before ``pts``; whether the container could."""
        try:
            self.container.seek(pts, stream=self.stream, backward=True)
            (self._alpha or self.stream.codec_context).flush_buffers()
            return True
        except (av.error.FFmpegError, OSError):
            return False

    def pictures(self, *, interlaced: bool | None = None) -> Iterator[av.VideoFrame]:
        """Yield what is decoded from here on, woven lines taken apart.

        ``interlaced``: whether there are any in the clip; None looks at the first frame. Raises MediaError.
        """
        frames = self._decoded()
        if interlaced is None:
            first = next(frames, None)
            if first is None:
                return
            interlaced, frames = first.interlaced_frame, chain([first], frames)
        yield from deinterlace(frames) if interlaced else frames

    @property
    def num_missing(self) -> int:
        """Frames that the container lists and did not hold, after a reading from end to end."""
        if self.info.format != LISTS_FRAMES or not self.info.num_frames_from_header:
            return 0
        return max(0, self.info.num_frames_from_header - self.losses.packets)

    def num_lost(self, shown: int) -> int:
        """Packets that gave no frame, when ``shown`` ones were read from end to end: damaged, or before a keyframe.

        The latter are passed over by decoders without a word.
        """
        return self.losses.lost + max(0, min(self.losses.headless, self.num_silent(shown)))

    def num_silent(self, shown: int) -> int:
        """Packets that gave no frame and no error. VP8 has some that are made for others to be made from."""
        losses = self.losses
        return 0 if self.info.codec == "vp8" else losses.packets - losses.hidden - losses.lost - shown

    def short_s(self, last_pts: int) -> float:
        """Seconds at the end that the header promises and no track reaches; Matroska's knows, others guess.

        A film may be shorter than its sound: only where it seems cut off are the other tracks looked at.
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
        """Decode packet by packet (a container-wide decode drops good frames around a bad packet)."""
        count = 0
        for packet in self._packets():
            try:
                frames = self._alpha.decode(packet) if self._alpha else packet.decode()
            except (av.error.FFmpegError, OSError) as error:
                self._lose(packet, error, count)
                continue
            for frame in frames:
                count += 1
                if frame.is_corrupt:
                    self.losses.flawed += 1
                    self.losses.note(frame)
                self.losses.interlaced += frame.interlaced_frame
                yield frame

    def _packets(self) -> Iterator[Any]:
        """The stream's packets, and the empty one that empties the decoder at the end."""
        stumbles = 0
        while True:
            try:
                for packet in self.container.demux(self.stream):
                    self._count(packet)
                    stumbles = 0
                    yield packet
                return
            except IndexError:  # as in packets_of: after the last packet, and ours is emptied by then
                return
            except (av.error.FFmpegError, OSError) as error:
                self._lose(None, error, self.losses.packets)
                stumbles += 1
                if stumbles > MAX_DEMUX_ERRORS:
                    return

    def _count(self, packet: Any) -> None:
        losses = self.losses
        losses.packets += packet.size > 0
        losses.hidden += packet.is_discard
        losses.gaps += packet.is_corrupt
        if losses.headless == losses.packets - 1 and packet.size and not packet.is_keyframe:
            losses.headless += 1

    def _lose(self, packet: Any, error: Exception, count: int) -> None:
        if not self.tolerant:
            why = "no frame could be decoded" if not count else f"damaged after frame {count - 1}"
            told = f"{why} ({getattr(error, 'strerror', None) or error})"
            raise MediaError(str(self.path), told, "repair or convert it, or take what is left with --allow-damaged")
        self.losses.lost += 1
        self.losses.note(packet)


def _last_time(path: Path) -> float:
    """When the last packet of any track ends, in seconds."""
    last = 0.0
    with open_media(path) as container:
        try:
            for packet in packets_of(container):
                if packet.pts is not None:
                    last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        except (av.error.FFmpegError, OSError):
            pass  # as far as it can be read
    return last


def _alpha_decoder(stream: VideoStream) -> Any:
    """The decoder that also reads the alpha of a VP8 or VP9 stream, which FFmpeg's own leave out; None elsewhere."""
    if stream.metadata.get("alpha_mode") != "1" or stream.codec_context.name not in ("vp8", "vp9"):
        return None
    context = av.CodecContext.create("libvpx" if stream.codec_context.name == "vp8" else "libvpx-vp9", "r")
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return context
