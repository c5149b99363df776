"""The web application of a vote: its page, joining, voting, and the pictures of a voter's trial."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from vidtrans.core.errors import UsageError, VidtransError
from vidtrans.core.settings import Table
from vidtrans.voting.poll import SIDES, Poll
from vidtrans.voting.stimuli import Stimuli

PAGE = Path(__file__).parent / "page"
MOST_BYTES = 1 << 14  # of a message
KEPT = 64  # encoded stimuli
Handler = Callable[[Request], Awaitable[Response]]


def make_app(poll: Poll, stimuli: Stimuli, scores: Callable[[], Table]) -> ASGIApp:
    """Return the ASGI application. ``scores``: returns the scores so far, for voters who have finished."""
    encoded = lru_cache(maxsize=KEPT)(lambda condition, item: _pack(stimuli, condition, item))

    async def page(request: Request) -> Response:
        return FileResponse(PAGE / "vote.html")

    async def study(request: Request) -> Response:
        told = ("is_real", "is_motion", "seconds", "num_trials", "forced_s")  # no names of conditions
        shown = {name: getattr(poll.study, name) for name in told}
        return JSONResponse(shown)

    async def join(request: Request) -> Response:
        message = await _message(request)
        return JSONResponse(poll.join(message.get("name"), is_sure=message.get("sure") is True))

    async def vote(request: Request) -> Response:
        message = await _message(request)
        return JSONResponse(poll.vote(message.get("key"), message))

    async def undo(request: Request) -> Response:
        message = await _message(request)
        return JSONResponse(poll.undo(message.get("key"), message.get("trial")))

    async def stimulus(request: Request) -> Response:
        query = request.query_params
        side, number = query.get("side", ""), query.get("trial", "")
        if side not in SIDES or not (number.isascii() and number.isdigit() and len(number) < 7):
            raise UsageError("stimulus", "there is no such side or trial", "load the page again")
        trial = poll.trial(query.get("key"), int(number))
        data = await asyncio.to_thread(encoded, trial.condition(side), trial.item)
        return Response(data, media_type="application/octet-stream")

    async def results(request: Request) -> Response:
        if not poll.is_finished(request.query_params.get("key")):
            raise UsageError("scores", "they are shown after the last vote", "vote first")
        return JSONResponse(scores())

    routes = [
        Route("/", page),
        Route("/study", _answering(study)),
        Route("/join", _answering(join), methods=["POST"]),
        Route("/vote", _answering(vote), methods=["POST"]),
        Route("/undo", _answering(undo), methods=["POST"]),
        Route("/stimulus", _answering(stimulus)),
        Route("/scores", _answering(results)),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    return Starlette(routes=routes)


def _answering(handler: Handler) -> Handler:
    """Return a handler that answers errors with their message: 409 of the request, 503 of a file or the disk."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except UsageError as error:
            return JSONResponse({"problem": str(error)}, 409)
        except (ClientDisconnect, asyncio.CancelledError):  # the page is gone, or the server ends meanwhile
            return Response(status_code=400)
        except (VidtransError, OSError) as error:
            return JSONResponse({"problem": str(error)}, 503)

    return answer


async def _message(request: Request) -> Table:
    """Return the JSON object in a request's body. Raises UsageError."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise UsageError("message", f"it has more than {MOST_BYTES} bytes", "see vidtrans.voting.vote_app")
    try:
        found = json.loads(bytes(body))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError("message", "it is not a JSON object", "see vidtrans.voting.vote_app")
    return found


def _pack(stimuli: Stimuli, condition: int, item: int) -> bytes:
    """Return an item as: u32 number of frames, f32 rate, u32 size of each file; the files. Little-endian."""
    shown = stimuli.show(condition, item)
    files = shown.files()
    return struct.pack(f"<If{len(files)}I", len(files), shown.rate, *map(len, files)) + b"".join(files)
