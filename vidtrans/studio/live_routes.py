"""The routes of the studio's live room, of the live page below /live, and of links for a phone."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.studio.live_room import PATH
from vidtrans.studio.messages import message_of, refusing
from vidtrans.studio.studio_session import StudioSession
from vidtrans.web.qr_code import qr_svg
from vidtrans.web.shared_page import shared_files

PHONE_PAGES = {"studio": "/", "live": f"{PATH}/"}


def live_routes(session: StudioSession) -> list[BaseRoute]:
    """Return the routes."""
    routes = LiveRoutes(session)
    gets = {
        "/api/live": routes.state,
        "/api/live/schema": routes.schema,
        "/api/reach": routes.reach,
        "/phone.svg": routes.phone,
    }
    posts = {"/api/live": routes.act, "/api/live/line": routes.line}
    found: list[BaseRoute] = [Route(path, refusing(handler)) for path, handler in gets.items()]
    found += [Route(path, refusing(handler), methods=["POST"]) for path, handler in posts.items()]
    return [*found, Mount(PATH, session.live), shared_files()]


class LiveRoutes:
    """The handlers."""

    def __init__(self, session: StudioSession) -> None:
        self.live = session.live

    async def state(self, request: Request) -> Response:
        """Return whether a session runs, and what it does."""
        return JSONResponse(self.live.table())

    async def schema(self, request: Request) -> Response:
        """Return the schema of the command."""
        return JSONResponse(await asyncio.to_thread(self.live.command.schema))

    async def line(self, request: Request) -> Response:
        """Return the command line of values, or the ``problem`` of values that are not complete yet."""
        values = _values_in(await message_of(request))
        try:
            return JSONResponse({"line": await asyncio.to_thread(self.live.line, values), "problem": ""})
        except UsageError as error:
            return JSONResponse({"line": "", "problem": str(error)})

    async def act(self, request: Request) -> Response:
        """Start a session with the values of a message, or stop the one that runs; return the state."""
        message = await message_of(request)
        action = message.get("action")
        if action == "start":
            await self.live.start(_values_in(message))
        elif action == "stop":
            await self.live.stop()
        else:
            raise UsageError("action", "it is unknown", "use start or stop")
        return JSONResponse(self.live.table())

    async def reach(self, request: Request) -> Response:
        """Return whether other devices can reach this server, and whether its pages may use their camera."""
        address = self.live.server.address if self.live.server else None
        is_open, is_https = bool(address and address.is_open), bool(address and address.scheme == "https")
        links = {name: self.live.phone_link(path) for name, path in PHONE_PAGES.items()}
        return JSONResponse({"open": is_open, "https": is_https, "links": links})

    async def phone(self, request: Request) -> Response:
        """Return the QR code of a page's link, for a phone."""
        page = request.query_params.get("page", "studio")
        if page not in PHONE_PAGES:
            raise UsageError("page", "it is unknown", f"use one of {', '.join(PHONE_PAGES)}")
        return Response(qr_svg(self.live.phone_link(PHONE_PAGES[page])), media_type="image/svg+xml")


def _values_in(message: Table) -> Table:
    values = message.get("values")
    if not isinstance(values, dict):
        raise UsageError("values", "they are options by name", "send an object")
    return values
