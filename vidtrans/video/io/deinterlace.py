"""Interlaced video: two moments in the lines of one frame. One progressive frame is made of each, at its own time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import av
import av.error
from av.filter import Graph

# A frame is made with those beside it, so reading from the middle of a clip has to begin this many earlier.
REACH = 1


def deinterlace(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Yield a progressive frame for each: FFmpeg's bwdif where its flag says interlaced, else the frame itself."""
    graph: Graph | None = None
    kind: tuple[Any, ...] = ()
    waiting: deque[tuple[int | None, Any]] = deque()

    def finished(given: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """What the filter hands over; it doubles the time base, so every frame gets its own time back."""
        assert graph is not None
        graph.push(given)
        while True:
            try:
                made: Any = graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            made.pts, made.time_base = waiting.popleft()
            yield made

    for number, frame in enumerate(frames):
        own = (frame.format.name, frame.width, frame.height)
        if own != kind:
            if graph is not None:
                yield from finished(None)
            graph, kind = _bwdif(frame), own
        waiting.append((frame.pts, frame.time_base))
        # The filter orders by time, and a frame may have none.
        frame.pts = number
        yield from finished(frame)
    if graph is not None:
        yield from finished(None)


def _bwdif(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    made = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    sink = graph.add("buffersink")
    source.link_to(made)
    made.link_to(sink)
    graph.configure()
    return graph
