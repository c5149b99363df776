"""Jobs for batches in tests: they are called in a process of their own, by name."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

from vidtrans.errors import MediaError
from vidtrans.events import Progress


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
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "slow":
        for n in range(600):
            time.sleep(0.05)
            context.report(Progress(f"rendering {source.name}", n, 600))
            context.stop.check()
    return {"output": str(source), "frames": 3, "seconds": 0.1, "cached": False, "pid": os.getpid()}
