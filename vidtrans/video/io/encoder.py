"""Encode frames into segments, a model's raw outputs into lossless files, and lossless files into pictures or a GIF.

An animated GIF has one palette for the whole clip, so that areas without motion do not flicker. The clip is read twice:
once to choose the 255 colours, once to draw with them. Other colours are dithered by an ordered pattern, in which a
pixel depends only on its own colour and position. Error diffusion looks finer, but a change anywhere changes all pixels
to the right and below.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
from av.container import OutputContainer
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.stream import VideoStream

from vidtrans.core.errors import MediaError
from vidtrans.core.events import NEVER_STOP, Progress, Report, Stop, ignore_event
from vidtrans.core.files import convert_disk_errors
from vidtrans.core.system import name_key
from vidtrans.video.colour.conversion import FromRGB, is_yuv
from vidtrans.video.colour.tags import tag_bt709
from vidtrans.video.images.picture import IndexedPng, encode_png
from vidtrans.video.io.container import open_generated
from vidtrans.video.io.encoding import CODECS, EncodingSettings, PictureFormat
from vidtrans.video.io.picture_paths import format_number

DTS_DELAY = 64  # Ticks by which the first decoding time is before 0: more frames than any encoder reorders
# Most pixels of an FFV1 picture with four slices; larger slices may be too large for FFmpeg.
MAX_PIXELS_4_SLICES = 7_000_000
_AVX_512F = 13  # OpenCV's number of the processor feature AVX-512F, which its Python module does not name
# Frames of x264's look-ahead by preset; each takes about 4 bytes per pixel, so large pictures get fewer.
_LOOKAHEADS = {"veryfast": 10, "faster": 20, "fast": 30, "medium": 40, "slow": 50, "slower": 60, "veryslow": 60}
_LOOKAHEAD_BYTES = 1 << 28  # Largest memory of x264's look-ahead in bytes
_MIN_LOOKAHEAD = 10  # Smallest limit of the look-ahead in frames
# PyAV's array formats by the pixel format of a lossless file.
_ARRAY_FORMATS = {"bgr0": "rgb24", "bgra": "rgba", "gbrp": "rgb24", "gbrp16le": "rgb48le", "gbrap16le": "rgba64le"}
GIF_TIME_BASE = Fraction(1, 100)  # GIF's time base in seconds: centiseconds
MIN_FRAME_CS = 2  # Shortest duration of a GIF frame in centiseconds; browsers show shorter frames for 10
MAX_FRAME_CS = 65535  # Longest duration of a GIF frame in centiseconds (16 bits)
OPAQUE_ALPHA = 128  # Alpha (8 bits) from which on a pixel is opaque, as GIF has no partial transparency
TRANSPARENT_INDEX = 255  # Palette index of the transparent colour in palettegen's palettes
# Dithering option of FFmpeg's paletteuse; the scale is from 0, a coarse pattern, to 5, almost none.
DITHER = "bayer:bayer_scale=3"
Frames = Callable[[], Iterator[np.ndarray]]  # Returns an iterator over all pictures of a GIF, from the first


def _reproducible_x264() -> dict[str, str]:
    """Return options that disable x264's AVX-512 code, with which equal pictures did not always give equal bytes.

    Measured on a busy machine, x264 core 165, one thread: 106 of 600 encodes of the same five frames differed; with
    AVX2 none of 600 did, in the same time.
    """
    return {"x264-params": "asm=AVX2"} if cv2.checkHardwareSupport(_AVX_512F) else {}


def lookahead_options(width: int, height: int, preset: str) -> dict[str, str]:
    """Return options that limit x264's look-ahead in large pictures: 32 frames at 1080p, 10 at 4K.

    For 70 frames at 4K, a look-ahead of 10 instead of 40 frames saves 0.8 GB.
    """
    frames = max(_MIN_LOOKAHEAD, _LOOKAHEAD_BYTES // (4 * width * height))
    return {"rc-lookahead": str(frames)} if frames < _LOOKAHEADS.get(preset, 0) else {}


@contextmanager
def _keep_priority() -> Iterator[None]:
    """Restore the caller's scheduling class in all threads of this process on exit.

    When run by root, SVT-AV1 makes its threads, and the thread that opens it, real-time threads. These, and all
    processes started later, would slow down all other work on the machine.
    """
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in map(int, os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else ()):
            with suppress(OSError):  # The thread has ended
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, parameters)


def _add_stream(
    container: OutputContainer, encoder: str, rate: Fraction, options: dict[str, str], frames: FromRGB
) -> VideoStream:
    """Add a video stream for an encoder to a container, with the size and the pixel format of ``frames``, bit-exact."""
    stream = container.add_stream(encoder, rate=rate, options=options)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = frames.width, frames.height, frames.pix_fmt
    stream.codec_context.flags |= 1 << 23  # AV_CODEC_FLAG_BITEXACT: no version strings
    return stream


class SegmentWriter:
    """An encoder that writes one chunk of a render to a file, which starts with a keyframe and needs no other file.

    The container is the codec's ``segments``. Timestamps in the file count from the start of the chunk; ``join`` sets
    the timestamps of the clip.
    """

    def __init__(self, path: Path, picture: PictureFormat, settings: EncodingSettings) -> None:
        codec = settings.chunk_codec
        pix_fmt = codec.pix_fmt(picture.depth, picture.alpha, picture.width, picture.height)
        options = settings.encoder_options()
        if codec.encoder == "libx264":
            preset = options.get("preset", "")
            options |= _reproducible_x264() | lookahead_options(picture.width, picture.height, preset)
        if codec.encoder == "ffv1" and min(picture.width, picture.height) < 2:
            options["slices"] = "1"  # Some of four slices would be empty
        elif codec.encoder == "ffv1" and picture.width * picture.height > MAX_PIXELS_4_SLICES:
            options["slices"] = "30"  # FFmpeg limits the size of a slice
        muxing = {"fflags": "+bitexact"}
        if codec.segments == "mov":
            muxing["video_track_timescale"] = str(picture.time_base.denominator)
        if codec.encoder == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # Errors only: by default it prints its settings to stderr
        self._path = path
        self._first_pts: int | None = None
        self._num_packets = 0
        self._from_rgb = FromRGB(picture.width, picture.height, pix_fmt)
        self._time_base = picture.time_base
        self._container = av.open(f"file:{path}", "w", format=codec.segments, options=muxing)
        self._stream = _add_stream(self._container, codec.encoder, picture.rate, options, self._from_rgb)
        self._first_encode: Callable[[], AbstractContextManager[None]]
        self._first_encode = _keep_priority if codec.encoder == "libsvtav1" else nullcontext
        context = self._stream.codec_context
        context.time_base, context.sample_aspect_ratio = picture.time_base, picture.sample_aspect_ratio
        if is_yuv(pix_fmt):
            tag_bt709(context)

    def write(self, picture: np.ndarray, *stamps: int) -> None:
        """Encode a picture, scaled to the output's size, once for each of the timestamps.

        ``picture``: (h, w, 3 or 4) uint8 or uint16. ``stamps``: pts in ticks, increasing from call to call.
        """
        for pts in stamps:
            if self._first_pts is None:
                self._first_pts = pts
            frame = self._from_rgb(picture)
            frame.pts, frame.time_base = pts - self._first_pts, self._time_base
            self._mux(frame)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        """Encode a frame, or flush the encoder if it is None, and write the packets. Raises MediaError, OSError."""
        try:
            with self._first_encode():
                packets = self._stream.encode(frame)
            self._first_encode = nullcontext
        except av.error.FFmpegError as error:
            codec, size = self._stream.codec_context.name, f"{self._stream.width}x{self._stream.height}"
            what = f"encoding {size} with {codec}"
            raise MediaError(
                what, str(error.strerror).lower(), "choose another --codec, or give larger pictures"
            ) from None
        for packet in packets:
            # If there are fewer frames than an encoder reorders, its DTS are random. ``join`` sets the final DTS.
            packet.dts = self._num_packets - DTS_DELAY
            self._num_packets += 1
            try:
                self._container.mux(packet)
            except Exception:
                with convert_disk_errors(self._path):
                    raise

    def close(self) -> None:
        """Flush the encoder, and close the file."""
        if self._first_pts is not None:
            self._mux(None)
        with convert_disk_errors(self._path):
            self._container.close()

    def abandon(self) -> None:
        """Close the file without flushing the encoder, so it remains incomplete."""
        self._container.close()


class LosslessWriter:
    """An encoder of a model's raw outputs without loss, so that another filter or codec needs no new inference.

    8 bits: H.264 in RGB at quantiser 0, which is lossless; it takes a fifth of FFV1's time and half of its size
    (measured). 16 bits (``deep``): FFV1, since H.264 has no 16 bits.
    """

    def __init__(self, path: Path, width: int, height: int, *, deep: bool = False) -> None:
        self._container = av.open(f"file:{path}", "w", format="nut", options={"fflags": "+bitexact"})
        if deep:
            encoder, pix_fmt, options = "ffv1", "gbrp16le", dict(CODECS["ffv1"].options)
        else:
            encoder, pix_fmt = "libx264rgb", "rgb24"
            options = {"qp": "0", "preset": "ultrafast", "threads": "1"} | _reproducible_x264()
        self._from_rgb = FromRGB(width, height, pix_fmt)
        self._stream = _add_stream(self._container, encoder, Fraction(25), options, self._from_rgb)
        self._count = 0

    def write(self, rgb: np.ndarray) -> None:
        """Encode a picture (height, width, 3), uint8 or (``deep``) uint16."""
        frame = self._from_rgb(rgb)
        frame.pts = self._count
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Flush the encoder, and close the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Close the file without flushing the encoder, so it remains incomplete."""
        self._container.close()


def read_lossless(path: Path) -> Iterator[np.ndarray]:
    """Yield the exact pictures of a lossless file: (height, width, 3 or 4) uint8 or uint16. Raises MediaError."""
    try:
        with closing(open_generated(path, "nut")) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format=_ARRAY_FORMATS[frame.format.name])
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(str(path), f"a damaged cache file ({error})", "run the command again") from None


def write_pictures(
    segments: Sequence[Path],
    names: Sequence[str] | None,
    output: Path,
    codec: str = "png",
    report: Report = ignore_event,
    stop: Stop = NEVER_STOP,
    palette: str = "",
) -> None:
    """Write the frames of lossless ``segments`` as pictures (png or exr) into the folder ``output``, under ``names``.

    If ``names`` is None there is one frame, and ``output`` is its file. ``palette``: as in ``picture_encoder``. Raises
    MediaError if the numbers of frames and names differ, Interrupted when a stop is requested.
    """
    encode = picture_encoder(codec, palette)
    if names is not None:
        output.mkdir()
    files = [output] if names is None else [output / name for name in names]
    count = 0
    for count, picture in enumerate(chain.from_iterable(map(read_lossless, segments)), 1):
        if count <= len(files):
            files[count - 1].write_bytes(encode(picture))
        report(Progress("writing pictures", count, len(files)))
        stop.check()
    if count != len(files):
        raise MediaError(str(output), f"{count} frames for {len(files)} pictures", "run 'vidtrans cache clean'")


def picture_encoder(codec: str, palette: str = "") -> Callable[[np.ndarray], bytes]:
    """Return the function that encodes a picture as ``codec``, "exr" or "png".

    ``palette``: the colours of a PNG with a palette, as '#rrggbb …'; '' for a PNG without one.
    """
    if codec == "exr":
        from vidtrans.video.images.exr import encode_exr

        return encode_exr
    if palette:
        return IndexedPng(palette)
    return encode_png


def picture_names(sources: Sequence[str], frames: range, codec: str = "png", pattern: str = "") -> list[str]:
    """Return file names for ``frames``: from ``pattern`` (%05d.png), else from ``sources``, else by number."""
    if pattern:
        return [format_number(pattern, n) for n in frames]
    if not sources:
        return [f"{n:06d}.{codec}" for n in frames]
    stems = [Path(sources[n]).stem for n in frames]
    # Without their suffixes a.jpg and a.png would be one file, and on some systems A.jpg, too.
    is_unique = len({name_key(s).casefold() for s in stems}) == len(stems)
    return [f"{s}.{codec}" if is_unique else f"{sources[n]}.{codec}" for s, n in zip(stems, frames, strict=True)]


def write_gif(
    frames: Frames, times_s: Sequence[Fraction], durations_s: Sequence[Fraction], output: Path, plays: int = 0
) -> int:
    """Write a GIF that is played ``plays`` times, 0 for endlessly; return its number of frames.

    ``frames()`` yields pictures of one size, (H, W, 3) or (H, W, 4) uint8, RGB or RGBA with straight alpha. It is
    called twice and must yield equal pictures both times, as many as ``times_s`` (of presentation, increasing) and
    ``durations_s``; of the durations only the last is used. Times are rounded to centiseconds from the first, so they
    do not drift. A frame shorter than 2 cs is left out. Alpha from 128 up is opaque.

    Equal frames give equal bytes. ``output`` is not written atomically. Raises OSError of the disk, and ValueError
    where the numbers of frames, times and durations differ, or are 0.
    """
    starts_cs, last_cs = gif_schedule(times_s, durations_s)
    pictures = frames()
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"no frames for {len(times_s)} times")
    height, width, channels = first.shape
    has_alpha = channels == 4
    palette = _palette(_gif_frames(chain([first], pictures), starts_cs, _opaque_pixels))
    repeats = str(plays - 1 or -1) if plays else "0"  # FFmpeg's -1 writes no count, which means one play
    options = {"loop": repeats, "final_delay": str(last_cs), "fflags": "+bitexact"}
    with closing(av.open(f"file:{output}", "w", format="gif", options=options)) as container:
        # With alpha each frame is written in full, else only its difference from the previous frame.
        stream: Any = container.add_stream("gif", rate=100, options={"gifflags": "0"} if has_alpha else {})
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        stream.codec_context.time_base = GIF_TIME_BASE
        for frame in _apply_palette(_gif_frames(frames(), starts_cs, _bgra), palette):
            for packet in stream.encode(frame):
                container.mux(_with_disposal(packet) if has_alpha else packet)
        container.mux(stream.encode(None))
    return sum(map(len, starts_cs))


def gif_schedule(times_s: Sequence[Fraction], durations_s: Sequence[Fraction]) -> tuple[list[list[int]], int]:
    """Return a list of start times for each frame of a GIF, and the duration of its last frame, in centiseconds.

    Times are counted from the first frame. The list is empty if a frame is too short, and has several times if it is
    too long for GIF's counter. Raises ValueError where there are no times, or the numbers of times and durations
    differ.
    """
    if not times_s or len(times_s) != len(durations_s):
        raise ValueError(f"{len(times_s)} times and {len(durations_s)} durations")
    ends = [round((t - times_s[0]) / GIF_TIME_BASE) for t in (*times_s[1:], times_s[-1] + durations_s[-1])]
    starts: list[list[int]] = []
    start = 0
    for end in ends[:-1]:
        is_long_enough = end - start >= MIN_FRAME_CS
        starts.append(list(range(start, end, MAX_FRAME_CS)) if is_long_enough else [])
        start = end if is_long_enough else start
    end = max(ends[-1], start + MIN_FRAME_CS)
    starts.append(list(range(start, end, MAX_FRAME_CS)))
    return starts, end - starts[-1][-1]


def _gif_frames(
    pictures: Iterable[np.ndarray], starts_cs: list[list[int]], convert: Callable[[np.ndarray], np.ndarray]
) -> Iterator[av.VideoFrame]:
    """Yield each converted picture once for each of its start times, as a video frame with that timestamp.

    Raises ValueError if the numbers of pictures and of lists of start times differ.
    """
    for picture, starts in zip(pictures, starts_cs, strict=True):
        for start in starts:
            frame = av.VideoFrame.from_ndarray(convert(picture), format="bgra")
            frame.pts, frame.time_base = start, GIF_TIME_BASE
            yield frame


def _bgra(picture: np.ndarray) -> np.ndarray:
    """Return a picture, (H, W, 3 or 4) uint8 RGB or RGBA, as (H, W, 4) BGRA with an alpha of 0 or 255."""
    if picture.shape[2] == 3:
        return cv2.cvtColor(picture, cv2.COLOR_RGB2BGRA)
    bgra = cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA)
    bgra[..., 3] = np.where(bgra[..., 3] < OPAQUE_ALPHA, 0, 255)
    return bgra


def _opaque_pixels(picture: np.ndarray) -> np.ndarray:
    """Return a picture filled with copies of its opaque pixels: palettegen would count transparent ones too."""
    bgra = _bgra(picture)
    opaque = bgra[bgra[..., 3] > 0]
    return np.resize(opaque, bgra.shape) if len(opaque) else np.zeros_like(bgra)


def _palette(frames: Iterator[av.VideoFrame]) -> av.VideoFrame:
    """Return FFmpeg's palettegen picture, 16 × 16 pixels: 255 colours and a transparent one."""
    graph = Graph()
    first = next(frames)
    source = _source(graph, first)
    graph.link_nodes(source, graph.add("palettegen"), graph.add("buffersink")).configure()
    for frame in chain([first], frames, [None]):
        source.push(frame)
    return graph.vpull()


def _apply_palette(frames: Iterator[av.VideoFrame], palette: av.VideoFrame) -> Iterator[av.VideoFrame]:
    """Yield the frames in the colours of ``palette``, a picture of palettegen, dithered."""
    graph = Graph()
    first = next(frames)
    source, colours = _source(graph, first), _source(graph, palette)
    draw = graph.add("paletteuse", f"dither={DITHER}")
    colours.link_to(draw, 0, 1)
    graph.link_nodes(source, draw, graph.add("buffersink")).configure()
    palette.pts, palette.time_base = 0, GIF_TIME_BASE
    colours.push(palette)
    colours.push(None)
    for frame in chain([first], frames, [None]):
        source.push(frame)
        with suppress(BlockingIOError, EOFError):  # The filter needs more frames, or has ended
            while True:
                yield graph.vpull()


def _with_disposal(packet: av.Packet[Any]) -> av.Packet[Any]:
    """Return a packet whose picture is cleared before the next one is drawn (GIF89a, 23: disposal method 2).

    FFmpeg sets this only for frames with transparency, so an opaque frame would remain visible. Some viewers clear to
    the background colour unless the frame names a transparent colour.
    """
    data = bytearray(bytes(packet))
    control = 13 + 3 * 2 ** ((data[10] & 7) + 1) if data.startswith(b"GIF") else 0
    if data[control : control + 3] != b"\x21\xf9\x04":
        raise RuntimeError("a GIF packet of an unknown layout")
    data[control + 3], data[control + 6] = 2 << 2 | 1, TRANSPARENT_INDEX
    packet.update(bytes(data))
    return packet


def _source(graph: Graph, frame: av.VideoFrame) -> FilterContext:
    """Add an input for frames like ``frame``, in centiseconds, to a filter graph, and return it."""
    return graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=GIF_TIME_BASE)
