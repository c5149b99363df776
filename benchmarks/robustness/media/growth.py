"""Decode or render a clip in this process, and print what its memory was on the way; for figures.py.

    python -m benchmarks.robustness.media.growth decode|render CLIP

Prints {"samples": [[frame, resident MB], ...], "open": [descriptors before, after], "children": processes left}.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

EVERY = 500


def main(way: str, clip: Path) -> None:
    samples: list[tuple[int, float]] = []

    def seen(number: int) -> None:
        if number % EVERY == 0 and (not samples or samples[-1][0] < number):
            samples.append((number, _resident_mb()))

    go = _decoding(clip, seen) if way == "decode" else _rendering(clip, seen)
    before = len(os.listdir("/proc/self/fd"))
    go()
    after = len(os.listdir("/proc/self/fd"))
    tasks = Path("/proc/self/task").glob("*/children")
    children = sum(len(task.read_text().split()) for task in tasks)
    print(json.dumps({"samples": samples, "open": [before, after], "children": children}))


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _decoding(clip: Path, seen: Callable[[int], None]) -> Callable[[], None]:
    from vidtrans.video.io.reader import ClipReader

    def go() -> None:
        with ClipReader(clip) as reader:
            for number, _ in enumerate(reader.frames(), 1):
                seen(number)

    return go


def _rendering(clip: Path, seen: Callable[[int], None]) -> Callable[[], None]:
    from vidtrans import stylize
    from vidtrans.core.events import Event, Progress

    def report(event: Event) -> None:
        if isinstance(event, Progress) and event.task.startswith("rendering"):
            seen(event.done)

    def go() -> None:
        cache, output = clip.with_name("cache"), clip.with_name("long.out.mp4")
        stylize(clip, "identity", output, report=report, cache_dir=cache)

    return go


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
