"""Deinterlace decoded frames; each keeps its own timestamp."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import groupby

import av
from av.filter import Graph

# A frame is made with those beside it, so reading from the middle of a clip has to begin this many earlier.
REACH = 1


def deinterlace(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Yield one progressive frame per frame: by FFmpeg's bwdif if it is flagged interlaced, else the frame itself."""
    for _, alike in groupby(frames, lambda frame: (frame.format.name, frame.width, frame.height)):
        yield from _filtered(alike)


def _filtered(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """Deinterlace frames of one size; each keeps its own timestamp, since the filter changes the time base."""
    graph: Graph | None = None
    times: deque[tuple[int | None, Fraction | None]] = deque()
    for number, frame in enumerate(frames):
        graph = graph or _bwdif(frame)
        times.append((frame.pts, frame.time_base))
        frame.pts = number  # the filter orders by time, and a frame may have none
        graph.push(frame)
        yield from _pull(graph, times)
    if graph is not None:
        graph.push(None)
        yield from _pull(graph, times)


def _pull(graph: Graph, times: deque[tuple[int | None, Fraction | None]]) -> Iterator[av.VideoFrame]:
    with suppress(BlockingIOError, EOFError):  # it needs more frames, or has ended
        while True:
            frame = graph.vpull()
            frame.pts, frame.time_base = times.popleft()
            yield frame


def _bwdif(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    graph.threads = 1
    graph.link_nodes(
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base),
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph
