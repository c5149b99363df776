"""Parsing of untrusted requests from a page (query values, JSON objects, bodies), and error responses.

Handlers are methods that are marked with their path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vidtrans.core.errors import UsageError, VidtransError
from vidtrans.core.settings import Table
from vidtrans.core.text_files import is_count, parse_table
from vidtrans.studio.guided_tasks import CommandStep
from vidtrans.studio.studio_session import SupersededRequest

MAX_JSON_BYTES = 1 << 18  # Longest JSON body of a request
Handler = Callable[[Request], Awaitable[Response]]  # Function that answers an HTTP request
H = TypeVar("H", bound=Callable[..., Awaitable[Response]])  # Type of a handler method that ``route`` marks


def text_in(request: Request, name: str) -> str:
    """Return the value ``name`` of the query of a request. Raises UsageError if it is missing."""
    if not (text := request.query_params.get(name, "")):
        raise UsageError(name, "it is missing", "give it")
    return text


def number_in(request: Request, name: str) -> int:
    """Return the value ``name`` of the query of a request as a whole number. Raises UsageError."""
    text = text_in(request, name)
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise UsageError(name, "it is not a number", "give a number")
    return int(text)


async def body_of(request: Request, max_bytes: int) -> bytes:
    """Return the body of a request. Raises UsageError if it is larger than ``max_bytes``."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > max_bytes:
            raise UsageError("request", f"it has at most {max_bytes} bytes", "send parts")
    return bytes(body)


async def message_of(request: Request) -> Table:
    """Return the JSON object in the body of a request. Raises UsageError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UsageError("request", "it is no JSON", "send application/json")
    try:
        return parse_table(await body_of(request, MAX_JSON_BYTES))
    except ValueError:
        raise UsageError("request", "it is no JSON object", "send one") from None


def count_in(message: Table, name: str, default: int | None = None) -> int:
    """Return the non-negative integer ``name`` of a message; ``default``: used if it is missing. Raises UsageError."""
    count = message.get(name, default)
    if not is_count(count):
        raise UsageError(name, "it is not a whole number from 0", "give a number")
    return count


def answers_in(message: Table) -> dict[str, str]:
    """Return the answers to the questions of a task, by question name. Raises UsageError."""
    answers = message.get("answers")
    if not isinstance(answers, dict) or not all(isinstance(value, str) for value in answers.values()):
        raise UsageError("answers", "they are texts by name", "send an object")
    return answers


def step_in(message: object) -> CommandStep:
    """Return the command of a message, with its option values, as a step. Raises UsageError."""
    message = message if isinstance(message, dict) else {}
    values, command, title = message.get("values"), message.get("command"), message.get("title", "")
    if not isinstance(values, dict) or not isinstance(command, str) or not isinstance(title, str):
        raise UsageError("request", "it names no command with its values", "send command and values")
    return CommandStep(command, values, title[:200] or command)


def with_error_responses(handler: Handler) -> Handler:
    """Return a handler that turns errors into responses: 400 for an invalid request, 503 for a disk error."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        """Answer a request with the handler, or with the response for its error."""
        try:
            return await handler(request)
        except SupersededRequest:
            return Response(status_code=204)
        except VidtransError as error:
            return JSONResponse({"error": str(error)}, 400)
        except ClientDisconnect:
            return Response(status_code=400)
        except OSError as error:
            return JSONResponse({"error": error.strerror or "the folder cannot be read"}, 503)

    return answer


def route(path: str, method: str = "GET") -> Callable[[H], H]:
    """Return a decorator that marks a method as the handler of a path and an HTTP method; see ``routes_of``."""

    def mark(handler: H) -> H:
        """Store the path and the HTTP method as an attribute of a handler."""
        handler.route = path, method  # type: ignore[attr-defined]
        return handler

    return mark


def routes_of(handlers: object) -> list[Route]:
    """Return routes to all methods of an object that are marked with ``route``."""
    methods = (getattr(handlers, name) for name in dir(type(handlers)))
    marked = [(*found.route, found) for found in methods if hasattr(found, "route")]
    return [Route(path, with_error_responses(handler), methods=[method]) for path, method, handler in marked]
