"""Animated GIF: one palette for the whole clip, and areas that do not move hold still.

A clip is gone through twice: once for the 255 colours that suit all of it, once to draw with them. The colours between
are dithered by an ordered pattern, in which a pixel depends on its own colour and place alone. Error diffusion draws
finer, but a change anywhere sets everything right of and below it crawling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.filter import Graph

TIME_BASE = Fraction(1, 100)  # GIF counts in centiseconds
SHORTEST_CS = 2  # browsers show what is shorter for 10
LONGEST_CS = 65535
OPAQUE_FROM = 128  # a pixel of a GIF is seen or not
TRANSPARENT = 255  # its place in palettegen's palettes
# From 0, a coarse pattern, to 5, hardly any.
DITHER = "bayer:bayer_scale=3"

Frames = Callable[[], Iterator[np.ndarray]]


def write_gif(frames: Frames, times_s: Sequence[Fraction], durations_s: Sequence[Fraction], output: Path) -> None:
    """Write an endless GIF.

    ``frames()`` yields pictures of one size, (H, W, 3) or (H, W, 4) uint8, RGB or RGBA with straight alpha; it is
    called twice, and must yield the same both times, as many as there are ``times_s`` (of presentation, increasing)
    and ``durations_s``, of which the last is used. Times are rounded to centiseconds from the first, so they do not
    drift. A frame that would be shown for less than 2 gives its place to the next. Alpha from 128 up is opaque.

    The same frames give the same bytes. ``output`` is written as it is; an OSError of the disk goes up. ValueError
    where the numbers of frames, times and durations differ, or are 0.
    """
    shown, last_cs = schedule(times_s, durations_s)
    pictures = frames()
    first = next(pictures, None)
    if first is None:
        raise ValueError(f"no frames for {len(times_s)} times")
    height, width, channels = first.shape
    see_through = channels == 4
    palette = _palette(_picked(chain([first], pictures), shown, _seen))
    options = {"loop": "0", "final_delay": str(last_cs), "fflags": "+bitexact"}
    with closing(av.open(f"file:{output}", "w", format="gif", options=options)) as container:
        # Each frame in full where something may be transparent; else what differs from the one before.
        stream: Any = container.add_stream("gif", rate=100, options={"gifflags": "0"} if see_through else {})
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        stream.codec_context.time_base = TIME_BASE
        for frame in _drawn(_picked(frames(), shown, _bgra), palette):
            for packet in stream.encode(frame):
                container.mux(_cleared(packet) if see_through else packet)
        container.mux(stream.encode(None))


def schedule(times_s: Sequence[Fraction], durations_s: Sequence[Fraction]) -> tuple[list[list[int]], int]:
    """When each frame is shown, in centiseconds from the first: never, once, or again where GIF cannot count so far.

    Second: how long the last one is shown. Raises ValueError where there are no times, or not as many durations.
    """
    if not times_s or len(times_s) != len(durations_s):
        raise ValueError(f"{len(times_s)} times and {len(durations_s)} durations")
    shown: list[list[int]] = []
    ends = [*times_s[1:], times_s[-1] + durations_s[-1]]
    at = 0
    for end in ends:
        until = round((end - times_s[0]) / TIME_BASE)
        if len(shown) == len(ends) - 1:
            until = max(until, at + SHORTEST_CS)
        if until - at < SHORTEST_CS:
            shown.append([])
            continue
        shown.append(list(range(at, until, LONGEST_CS)))
        at = until
    return shown, at - shown[-1][-1]


def _picked(
    pictures: Iterable[np.ndarray], shown: list[list[int]], prepared: Callable[[np.ndarray], np.ndarray]
) -> Iterator[av.VideoFrame]:
    """The frames that are shown, at their times. Raises ValueError where there are not as many as times."""
    for picture, starts in zip(pictures, shown, strict=True):
        for start in starts:
            frame = av.VideoFrame.from_ndarray(prepared(picture), format="bgra")
            frame.pts, frame.time_base = start, TIME_BASE
            yield frame


def _bgra(picture: np.ndarray) -> np.ndarray:
    if picture.shape[2] == 3:
        return cv2.cvtColor(picture, cv2.COLOR_RGB2BGRA)
    bgra = cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA)
    bgra[..., 3] = np.where(bgra[..., 3] < OPAQUE_FROM, 0, 255)
    return bgra


def _seen(picture: np.ndarray) -> np.ndarray:
    """For the palette, which would count what is transparent too: what is seen, over and over until it is filled."""
    bgra = _bgra(picture)
    seen = bgra[bgra[..., 3] > 0]
    return np.resize(seen, bgra.shape) if len(seen) else np.zeros_like(bgra)


def _palette(frames: Iterator[av.VideoFrame]) -> av.VideoFrame:
    """The 255 colours and one for nothing, as FFmpeg's palettegen lays them out: 16 × 16 pixels."""
    graph, source = Graph(), None
    for frame in frames:
        if source is None:
            source = _source(graph, frame)
            _chain(source, graph.add("palettegen"), graph.add("buffersink"))
            graph.configure()
        source.push(frame)
    assert source is not None
    source.push(None)
    return graph.vpull()


def _drawn(frames: Iterator[av.VideoFrame], palette: av.VideoFrame) -> Iterator[av.VideoFrame]:
    """The frames in the palette's colours."""
    graph, source = Graph(), None
    for frame in frames:
        if source is None:
            source, colours = _source(graph, frame), _source(graph, palette)
            draw = graph.add("paletteuse", f"dither={DITHER}")
            colours.link_to(draw, 0, 1)
            _chain(source, draw, graph.add("buffersink"))
            graph.configure()
            palette.pts, palette.time_base = 0, TIME_BASE
            colours.push(palette)
            colours.push(None)
        source.push(frame)
        yield from _pulled(graph)
    assert source is not None
    source.push(None)
    yield from _pulled(graph)


def _cleared(packet: av.Packet[Any]) -> av.Packet[Any]:
    """The packet, with the order to clear what it drew before the next is drawn (GIF89a, 23: disposal method 2).

    FFmpeg gives it to frames that have something transparent alone, so that an opaque one would show through. Some
    viewers clear to the background's colour unless the frame names a transparent one.
    """
    data = bytearray(bytes(packet))
    control = 13 + 3 * 2 ** ((data[10] & 7) + 1) if data.startswith(b"GIF") else 0
    if data[control : control + 3] != b"\x21\xf9\x04":
        raise RuntimeError("a GIF packet of an unknown layout")
    data[control + 3], data[control + 6] = 2 << 2 | 1, TRANSPARENT
    packet.update(bytes(data))
    return packet


def _source(graph: Graph, frame: av.VideoFrame) -> Any:
    return graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=TIME_BASE)


def _chain(*filters: Any) -> None:
    for one, following in pairwise(filters):
        one.link_to(following)


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    """What is ready. It has none where BlockingIOError asks for more, and EOFError says that this was all."""
    with suppress(BlockingIOError, EOFError):
        while True:
            yield graph.vpull()
