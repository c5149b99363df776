"""The cache log's line for each rendered chunk: times, sizes, host and device."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from vidtrans.core.errors import first_line
from vidtrans.core.machine import processor
from vidtrans.core.settings import Table
from vidtrans.core.threads import StepClock
from vidtrans.rendering.plan import RenderPlan
from vidtrans.session import Context
from vidtrans.store.chunking import Chunk
from vidtrans.store.chunks import ChunkStore

READ, NETWORK, FILTER, ENCODE = "read", "network", "filter", "encode"


class ChunkLog:
    """A writer of one log line per chunk, for consecutive chunks rendered on one device of a ``kind``.

    A chunk's time begins where the previous one's ends, because reading, network, filter and encoder run in parallel.
    """

    def __init__(self, plan: RenderPlan, context: Context, kind: str, clock: StepClock, store: ChunkStore) -> None:
        self._plan, self._log, self._clock, self._store = plan, context.cache.log, clock, store
        name = processor() if kind == "cpu" else _card(context)
        self._maker = _here() | {"device": kind, "processor": name}
        self._began = time.time()
        clock.take()

    def add(self, chunk: Chunk) -> None:
        """Write the line of a chunk that has just been stored."""
        began, self._began = self._began, time.time()
        seconds = {step: round(value, 4) for step, value in self._clock.take().items()}
        self._log.add(
            {
                "clip": self._plan.clip.name,
                "chunk": chunk.number,
                "frames": [chunk.first, chunk.stop],
                "began": round(began, 3),
                "ended": round(self._began, 3),
                "seconds": seconds,
                "bytes": self._store.path(chunk.number).stat().st_size,
                "render": self._store.entry.key[:12],
                **self._maker,
            }
        )


def log_failure(context: Context, clip: Path, part: str, error: Exception) -> None:
    """Write a line for a failed ``part`` of a clip."""
    if context.cache.root.is_dir():  # otherwise no work had started
        line: Table = {"clip": clip.name, "part": part, "ended": round(time.time(), 3), "failed": first_line(error)}
        context.cache.log.add(line | _here())


def _here() -> Table:
    return {"host": socket.gethostname(), "process": os.getpid()}


def _card(context: Context) -> str:
    from vidtrans.inference.device import resolve_device  # imports torch, which is not needed to log a failure

    return resolve_device(context.device).card
