"""Jobs for batches in tests: they are called in a process of their own, by name."""

from __future__ import annotations

import errno
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

from vidtrans.core.errors import MediaError
from vidtrans.core.events import Progress
from vidtrans.rendering.parts import Division


def job(source: Path, what: str, context: Any) -> dict[str, Any]:
    """What a clip's name says happens to it."""
    log = context.cache_dir.with_name("log")
    tries = log.read_text().count(f"{source.name}\n") if log.exists() else 0
    with log.open("a") as file:
        file.write(f"{source.name}\n")
    if what == "bad":
        raise MediaError(str(source), "it is bad", "give a better one")
    if what == "bug":
        raise KeyError("of a bug")
    if what == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))
    if what == "crashes" or (what == "crashes once" and not tries):
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    if what == "slow":
        for n in range(600):
            time.sleep(0.05)
            context.report(Progress(f"rendering {source.name}", n, 600, counted=True))
            context.stop.check()
    return {"output": str(source), "frames": 3, "seconds": 0.1, "cached": False, "pid": os.getpid()}


SHARED = ("infer", "0" * 64)  # the cache entry that the parts of all items share


def divide(source: Path, what: str, context: Any, *, count: int) -> Division:
    """As many parts as there are slots."""
    return Division([(n, n + 1) for n in range(count)], partial(make_part, source, what), [SHARED])


def make_part(source: Path, what: str, context: Any, *, part: tuple[int, int]) -> dict[str, Any]:
    """A part, of which "bad part 1" fails."""
    if what == f"bad part {part[0]}":
        raise MediaError(str(source), "its part is bad", "give a better one")
    return {"frames_inferred": 1, "frames_encoded": 2}
