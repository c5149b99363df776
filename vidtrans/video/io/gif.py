"""Write an animated GIF with one palette for the whole clip, so that areas without motion do not flicker.

The clip is read twice: once to choose the 255 colours, once to draw with them. Other colours are dithered by an
ordered pattern, in which a pixel depends only on its own colour and position. Error diffusion looks finer, but a change
anywhere changes all pixels to the right and below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.filter import Graph
from av.filter.context import FilterContext

TIME_BASE = Fraction(1, 100)  # GIF counts in centiseconds
SHORTEST_CS = 2  # browsers show shorter frames for 10
LONGEST_CS = 65535
OPAQUE_FROM = 128  # a pixel of a GIF is either opaque or transparent
TRANSPARENT = 255  # its place in palettegen's palettes
# From 0, a coarse pattern, to 5, hardly any.
DITHER = "bayer:bayer_scale=3"

Frames = Callable[[], Iterator[np.ndarray]]


def write_gif(
    frames: Frames, times_s: Sequence[Fraction], durations_s: Sequence[Fraction], output: Path, plays: int = 0
) -> int:
    """Write a GIF that is played ``plays`` times, 0 for endlessly; return its number of frames.

    ``frames()`` yields pictures of one size, (H, W, 3) or (H, W, 4) uint8, RGB or RGBA with straight alpha; it is
    called twice and must yield the same pictures both times, as many as ``times_s`` (of presentation, increasing)
    and ``durations_s``, of which the last is used. Times are rounded to centiseconds from the first, so they do not
    drift. A frame that would be shown for less than 2 cs is left out. Alpha from 128 up is opaque.

    The same frames give the same bytes. ``output`` is not written atomically. Raises OSError of the disk, and
    ValueError where the numbers of frames, times and durations differ, or are 0.
    """
    starts_cs, last_cs = schedule(times_s, durations_s)
    pictures = frames()
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"no frames for {len(times_s)} times")
    height, width, channels = first.shape
    see_through = channels == 4
    palette = _palette(_timed(chain([first], pictures), starts_cs, _visible))
    repeats = str(plays - 1 or -1) if plays else "0"  # FFmpeg's -1 writes no count, which is one play
    options = {"loop": repeats, "final_delay": str(last_cs), "fflags": "+bitexact"}
    with closing(av.open(f"file:{output}", "w", format="gif", options=options)) as container:
        # Each frame in full where something may be transparent; else what differs from the one before.
        stream: Any = container.add_stream("gif", rate=100, options={"gifflags": "0"} if see_through else {})
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        stream.codec_context.time_base = TIME_BASE
        for frame in _drawn(_timed(frames(), starts_cs, _bgra), palette):
            for packet in stream.encode(frame):
                container.mux(_cleared(packet) if see_through else packet)
        container.mux(stream.encode(None))
    return sum(map(len, starts_cs))


def schedule(times_s: Sequence[Fraction], durations_s: Sequence[Fraction]) -> tuple[list[list[int]], int]:
    """Return the start times of each frame, in centiseconds from the first, and the duration of the last.

    A frame has no start (too short), one, or several (too long for GIF's counter). Raises ValueError where there are no
    times, or the numbers of times and durations differ.
    """
    if not times_s or len(times_s) != len(durations_s):
        raise ValueError(f"{len(times_s)} times and {len(durations_s)} durations")
    ends = [round((t - times_s[0]) / TIME_BASE) for t in (*times_s[1:], times_s[-1] + durations_s[-1])]
    starts: list[list[int]] = []
    at = 0
    for end in ends[:-1]:
        is_long_enough = end - at >= SHORTEST_CS
        starts.append(list(range(at, end, LONGEST_CS)) if is_long_enough else [])
        at = end if is_long_enough else at
    end = max(ends[-1], at + SHORTEST_CS)
    starts.append(list(range(at, end, LONGEST_CS)))
    return starts, end - starts[-1][-1]


def _timed(
    pictures: Iterable[np.ndarray], starts_cs: list[list[int]], convert: Callable[[np.ndarray], np.ndarray]
) -> Iterator[av.VideoFrame]:
    """Yield the frames with their timestamps. Raises ValueError where the numbers of frames and times differ."""
    for picture, starts in zip(pictures, starts_cs, strict=True):
        for start in starts:
            frame = av.VideoFrame.from_ndarray(convert(picture), format="bgra")
            frame.pts, frame.time_base = start, TIME_BASE
            yield frame


def _bgra(picture: np.ndarray) -> np.ndarray:
    if picture.shape[2] == 3:
        return cv2.cvtColor(picture, cv2.COLOR_RGB2BGRA)
    bgra = cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA)
    bgra[..., 3] = np.where(bgra[..., 3] < OPAQUE_FROM, 0, 255)
    return bgra


def _visible(picture: np.ndarray) -> np.ndarray:
    """Return a picture of only the visible pixels, repeated to fill it: palettegen would count transparent ones too."""
    bgra = _bgra(picture)
    visible = bgra[bgra[..., 3] > 0]
    return np.resize(visible, bgra.shape) if len(visible) else np.zeros_like(bgra)


def _palette(frames: Iterator[av.VideoFrame]) -> av.VideoFrame:
    """Return FFmpeg's palettegen picture, 16 × 16 pixels: 255 colours and a transparent one."""
    graph = Graph()
    first = next(frames)
    source = _source(graph, first)
    graph.link_nodes(source, graph.add("palettegen"), graph.add("buffersink")).configure()
    for frame in chain([first], frames, [None]):
        source.push(frame)
    return graph.vpull()


def _drawn(frames: Iterator[av.VideoFrame], palette: av.VideoFrame) -> Iterator[av.VideoFrame]:
    """Yield the frames drawn in the palette's colours."""
    graph = Graph()
    first = next(frames)
    source, colours = _source(graph, first), _source(graph, palette)
    draw = graph.add("paletteuse", f"dither={DITHER}")
    colours.link_to(draw, 0, 1)
    graph.link_nodes(source, draw, graph.add("buffersink")).configure()
    palette.pts, palette.time_base = 0, TIME_BASE
    colours.push(palette)
    colours.push(None)
    for frame in chain([first], frames, [None]):
        source.push(frame)
        with suppress(BlockingIOError, EOFError):  # it needs more frames, or has ended
            while True:
                yield graph.vpull()


def _cleared(packet: av.Packet[Any]) -> av.Packet[Any]:
    """Return a packet whose picture is cleared before the next one is drawn (GIF89a, 23: disposal method 2).

    FFmpeg sets this only for frames with transparency, so an opaque frame would remain visible. Some viewers clear to
    the background colour unless the frame names a transparent colour.
    """
    data = bytearray(bytes(packet))
    control = 13 + 3 * 2 ** ((data[10] & 7) + 1) if data.startswith(b"GIF") else 0
    if data[control : control + 3] != b"\x21\xf9\x04":
        raise RuntimeError("a GIF packet of an unknown layout")
    data[control + 3], data[control + 6] = 2 << 2 | 1, TRANSPARENT
    packet.update(bytes(data))
    return packet


def _source(graph: Graph, frame: av.VideoFrame) -> FilterContext:
    return graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=TIME_BASE)
