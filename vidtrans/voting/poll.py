"""A vote in progress, and its web application: people join by name, see the stimuli of their trials, and vote.

Every vote is written to the log before it counts.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import struct
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from vidtrans.core.errors import UsageError, VidtransError
from vidtrans.core.settings import Table
from vidtrans.core.system import name_key
from vidtrans.voting.ballot import Study, VoteTrial, draw_trials
from vidtrans.voting.stimuli import Stimuli
from vidtrans.voting.vote_log import CastVote, OpenLog
from vidtrans.web.server import shared_files

MAX_NAME_CHARS = 40  # Longest name of a voter, in characters
MAX_VOTERS = 1000  # Largest number of voters of a study
SIDES = ("left", "right")  # Sides of a trial in messages of the page
PAGE_FOLDER = Path(__file__).parent / "page"  # Folder of the files of the page
MAX_MESSAGE_BYTES = 1 << 14  # Longest JSON body of a request
NUM_CACHED_STIMULI = 64  # Number of encoded stimuli that are kept in memory
Handler = Callable[[Request], Awaitable[Response]]  # Function that answers an HTTP request


class Poll:
    """The voters of a study, and their progress.

    A voter's ``key`` identifies the voter to the server, and is new whenever a page joins. No return value names a
    condition before the voter's last vote.
    """

    def __init__(self, study: Study, log: OpenLog) -> None:
        self.study, self._log = study, log
        self._names: dict[str, str] = {}  # Names of voters by key
        self._trials: dict[str, list[VoteTrial]] = {}  # Trials of voters by name

    def join(self, name: object, *, is_sure: bool) -> Table:
        """Add a voter, and return a key and the progress; without ``is_sure``, no key for a name that has votes.

        An empty name becomes a number. Raises UsageError if the name is not valid.
        """
        voter = self._log_name(_clean_name(name))
        votes = self._log.log.votes
        if voter in votes and votes[voter] and not is_sure:
            return {"taken": True, "name": voter, **self._progress(voter)}
        if voter not in votes:
            if len(votes) >= MAX_VOTERS:
                raise UsageError("vote", f"{MAX_VOTERS} people have voted", "begin another vote")
            self._log.write({"voter": voter, "number": max(self._log.log.numbers.values(), default=-1) + 1})
        key = secrets.token_urlsafe(12)
        self._names[key] = voter
        return {"key": key, **self.state(key)}

    def state(self, key: object) -> Table:
        """Return the progress of the voter with a key.

        Raises UsageError for an unknown key, as after a server restart.
        """
        name = self.name_of(key)
        return {"name": name, **self._progress(name)}

    def vote(self, key: object, message: Table) -> Table:
        """Store a vote for the voter's current trial, and return the state; a vote for another trial changes nothing.

        So a double press of a key, or a second window of the same voter, adds no second vote. Raises UsageError if the
        message is not valid, OSError if the vote cannot be written.
        """
        name = self.name_of(key)
        side, number = message.get("side"), message.get("trial")
        if side not in SIDES:
            raise UsageError("side", f"it is one of {' and '.join(SIDES)}", "see vidtrans.voting.poll")
        if type(number) is not int or number != self._next_trial(name) or number >= len(self.trials_of(name)):
            return self.state(key) | {"stale": True}
        trial, names = self.trials_of(name)[number], self.study.conditions
        chosen = names[trial.condition(str(side))]
        vote = CastVote(
            number,
            self.study.items[trial.item],
            names[trial.left],
            names[trial.right],
            chosen,
            trial.is_practice,
            trial.repeats is not None,
            _seconds(message.get("answer_s")),
            _seconds(message.get("exposure_s")),
        )
        self._log.write({"voter": name, **vars(vote)})
        return self.state(key) | ({"was_right": chosen == names[-1]} if trial.is_practice else {})

    def undo(self, key: object, trial: object) -> Table:
        """Remove the last vote of a voter, if it is the vote on ``trial``; return the state.

        There is no undo in real or fake, where the voter would see the pictures twice, nor after the last vote, when
        the scores are shown. Raises UsageError, OSError.
        """
        name = self.name_of(key)
        is_last = type(trial) is int and 0 <= trial == self._next_trial(name) - 1
        if is_last and not self.study.is_real and not self.is_finished(key):
            self._log.write({"voter": name, "undo": trial})
        return self.state(key)

    def trial(self, key: object, number: int) -> VoteTrial:
        """Return trial ``number`` of a voter: the current one, or the next one for preloading.

        Raises UsageError for others.
        """
        name = self.name_of(key)
        if not self._next_trial(name) <= number < min(self._next_trial(name) + 2, len(self.trials_of(name))):
            raise UsageError("trial", "its time is over, or has not come", "load the page again")
        return self.trials_of(name)[number]

    def is_finished(self, key: object) -> bool:
        """Return whether the voter with a key has cast all votes. Raises UsageError."""
        return bool(self._progress(self.name_of(key))["finished"])

    def name_of(self, key: object) -> str:
        """Return the name of the voter with a key. Raises UsageError if the key is unknown."""
        if not isinstance(key, str) or key not in self._names:
            raise UsageError("vote", "nobody has joined with this key", "load the page again")
        return self._names[key]

    def trials_of(self, name: str) -> list[VoteTrial]:
        """Return the trials of the voter ``name``, in order."""
        if name not in self._trials:
            self._trials[name] = draw_trials(self.study, self._log.log.numbers[name])
        return self._trials[name]

    def _next_trial(self, name: str) -> int:
        """Return the index of a voter's next trial: the number of votes so far."""
        return len(self._log.log.votes[name])

    def _progress(self, name: str) -> Table:
        """Return the progress of a voter for the page: numbers of trials and votes, and whether all are cast."""
        trials, at = self.trials_of(name), self._next_trial(name)
        practice = sum(trial.is_practice for trial in trials)
        return {
            "trial": min(at, len(trials)),
            "trials": len(trials),
            "given": max(0, at - practice),
            "total": len(trials) - practice,
            "practice": max(0, practice - at),
            "finished": at >= len(trials),
        }

    def _log_name(self, name: str) -> str:
        """Return a name as it is written in the log, whatever its capitals; an empty name becomes a number."""
        names = {one.casefold(): one for one in self._log.log.votes}
        if not name:
            number = len(names) + 1
            while f"voter {number}" in names:
                number += 1
            name = f"Voter {number}"
        return names.get(name.casefold(), name)


def _clean_name(name: object) -> str:
    """Return the name of a voter without control characters and extra spaces. Raises UsageError if it is too long."""
    text = name_key(name) if isinstance(name, str) else ""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(text) > MAX_NAME_CHARS:
        raise UsageError("name", f"it has more than {MAX_NAME_CHARS} characters", "shorten it")
    return text


def _seconds(value: Any) -> float | None:  # noqa: ANN401  (JSON)
    """Return a value from a page as seconds, rounded to milliseconds; None if it is not a plausible number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return round(float(value), 3) if is_number and 0 <= value < 1e6 else None


def make_app(poll: Poll, stimuli: Stimuli, scores: Callable[[], Table]) -> ASGIApp:
    """Return the ASGI application of a vote. ``scores``: returns the current scores, for voters who have finished."""
    encoded = lru_cache(maxsize=NUM_CACHED_STIMULI)(lambda condition, item: _pack(stimuli, condition, item))

    async def page(request: Request) -> Response:
        """Return the page of the vote."""
        return FileResponse(PAGE_FOLDER / "vote.html")

    async def study(request: Request) -> Response:
        """Return the settings of the study that the page needs, without the names of conditions."""
        public_fields = ("is_real", "is_motion", "seconds", "num_trials", "forced_s")  # No names of conditions
        return JSONResponse({name: getattr(poll.study, name) for name in public_fields})

    async def join(request: Request) -> Response:
        """Add a voter by name; return the key and the progress."""
        message = await _message(request)
        return JSONResponse(poll.join(message.get("name"), is_sure=message.get("sure") is True))

    async def vote(request: Request) -> Response:
        """Store a vote; return the progress."""
        message = await _message(request)
        return JSONResponse(poll.vote(message.get("key"), message))

    async def undo(request: Request) -> Response:
        """Remove the last vote of a voter; return the progress."""
        message = await _message(request)
        return JSONResponse(poll.undo(message.get("key"), message.get("trial")))

    async def stimulus(request: Request) -> Response:
        """Return the picture or excerpt at one side of a trial, in the format of ``_pack``."""
        query = request.query_params
        side, number = query.get("side", ""), query.get("trial", "")
        if side not in SIDES or not (number.isascii() and number.isdigit() and len(number) < 7):
            raise UsageError("stimulus", "there is no such side or trial", "load the page again")
        trial = poll.trial(query.get("key"), int(number))
        data = await asyncio.to_thread(encoded, trial.condition(side), trial.item)
        return Response(data, media_type="application/octet-stream")

    async def results(request: Request) -> Response:
        """Return the scores, for a voter who has finished."""
        if not poll.is_finished(request.query_params.get("key")):
            raise UsageError("scores", "they are shown after the last vote", "vote first")
        return JSONResponse(scores())

    routes = [
        Route("/", page),
        Route("/study", _with_error_responses(study)),
        Route("/join", _with_error_responses(join), methods=["POST"]),
        Route("/vote", _with_error_responses(vote), methods=["POST"]),
        Route("/undo", _with_error_responses(undo), methods=["POST"]),
        Route("/stimulus", _with_error_responses(stimulus)),
        Route("/scores", _with_error_responses(results)),
        Mount("/page", StaticFiles(directory=PAGE_FOLDER)),
        shared_files(),
    ]
    return Starlette(routes=routes)


def _with_error_responses(handler: Handler) -> Handler:
    """Return a handler that turns errors into responses: 409 for an invalid request, 503 for a file or the disk."""

    async def answer(request: Request) -> Response:
        """Answer a request with the handler, or with the response for its error."""
        try:
            return await handler(request)
        except UsageError as error:
            return JSONResponse({"problem": str(error)}, 409)
        except (ClientDisconnect, asyncio.CancelledError):  # The page was closed, or the server is ending
            return Response(status_code=400)
        except (VidtransError, OSError) as error:
            return JSONResponse({"problem": str(error)}, 503)

    return answer


async def _message(request: Request) -> Table:
    """Return the JSON object in the body of a request. Raises UsageError."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_MESSAGE_BYTES:
            raise UsageError("message", f"it has more than {MAX_MESSAGE_BYTES} bytes", "see vidtrans.voting.poll")
    try:
        message = json.loads(bytes(body))
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise UsageError("message", "it is not a JSON object", "see vidtrans.voting.poll")
    return message


def _pack(stimuli: Stimuli, condition: int, item: int) -> bytes:
    """Return a stimulus as bytes: u32 number of frames, f32 rate, u32 size of each file, then the files.

    Numbers are little-endian. ``condition``, ``item``: indices.
    """
    stimulus = stimuli.show(condition, item)
    files = stimulus.files()
    return struct.pack(f"<If{len(files)}I", len(files), stimulus.rate, *map(len, files)) + b"".join(files)
