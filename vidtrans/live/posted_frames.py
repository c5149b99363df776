"""Frames that programs post over HTTP one by one, each with the reply that the program waits for."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from vidtrans.live.paint_jobs import Painted, PaintJob
from vidtrans.live.protocol import FrameMessage

POSTED_S = 3.0  # seconds after a posted frame for which more are expected


class PostedFrames:
    """The posted frames that are being painted. ``ended``: called when no more are expected."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended, self._num_posted = ended, 0
        self._replies: dict[int, asyncio.Future[Painted]] = {}  # by the frame's sequence
        self._sequences = itertools.count(1)

    async def paint(self, message: FrameMessage, submit: Callable[[PaintJob], None]) -> Painted:
        """Submit a frame, independent of the frames before it, and wait for its picture. Raises VidtransError."""
        number = next(self._sequences)
        self._replies[number] = reply = asyncio.get_running_loop().create_future()
        try:
            submit(PaintJob(FrameMessage(message.kind, number, 0.0, message.file), 0, is_cut=True))
            return await reply
        finally:
            self._replies.pop(number, None)
            self._num_posted += 1
            asyncio.get_running_loop().call_later(POSTED_S, self._end, self._num_posted)

    def _end(self, num_posted: int) -> None:
        if self._num_posted == num_posted:  # none came since
            self._ended()

    def reply_to(self, job: PaintJob) -> asyncio.Future[Painted] | None:
        """Return the pending reply to a frame; None if no program waits for it."""
        reply = self._replies.get(job.message.sequence) if job.sender == 0 else None
        return None if reply is None or reply.done() else reply
