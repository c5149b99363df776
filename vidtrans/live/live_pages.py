"""A live session as pages of another server, such as the studio's: its application, its facts and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp

from vidtrans.core.settings import Table
from vidtrans.live.app import make_app
from vidtrans.live.hub import Hub
from vidtrans.live.stage_worker import StageWorker


class LivePages:
    """The pages of an open session. ``release`` frees the memory of the models when the session has ended."""

    def __init__(self, hub: Hub, worker: StageWorker, release: Callable[[], None]) -> None:
        self.hub, self.worker, self._release = hub, worker, release

    def app(self, phone_link: Callable[[], str]) -> ASGIApp:
        """Return the ASGI application; called in the event loop. ``phone_link``: returns the link of the QR code."""
        self.hub.loop = asyncio.get_running_loop()
        return make_app(self.hub, phone_link)

    def facts(self) -> Table:
        """Return what the session does: connections, painted frames, the source, and whether it records."""
        return {
            "models": list(self.hub.models),
            "connections": len(self.hub.clients),
            "frames": self.worker.num_painted,
            "source": self.hub.source,
            "recording": self.hub.recordings.is_on,
            "alive": self.worker.is_alive,
        }

    async def close(self) -> None:
        """Complete a recording, end all connections and the thread that paints, and free the models."""
        await self.hub.stop_recording()
        self._end_connections()
        await asyncio.to_thread(self.worker.close)
        self._end_connections()  # those that began meanwhile
        self._release()

    def _end_connections(self) -> None:
        for client in list(self.hub.clients.values()):
            client.close()
