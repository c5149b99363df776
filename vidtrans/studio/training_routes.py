"""The routes of trainings: their state in words, their film of held-out pictures, and jobs that continue them."""

from __future__ import annotations

import asyncio
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.core.strict_json import read_table
from vidtrans.studio.messages import count_in, message_of, refusing, text_in
from vidtrans.studio.studio_session import StudioSession
from vidtrans.studio.training_jobs import FOLDER_SUFFIX, train_longer, train_on
from vidtrans.training.report.training_words import STATUS_FILE

MOST_PICTURES = 200  # of a film
PICTURES = ("input.png", "target.png", "preview.png", "training.png", "report.html")


def training_routes(session: StudioSession) -> list[Route]:
    """Return the routes."""
    watched = WatchedTrainings(session)
    return [
        Route("/api/training", refusing(watched.training)),
        Route("/api/train", refusing(watched.train), methods=["POST"]),
    ]


class WatchedTrainings:
    """The handlers."""

    def __init__(self, session: StudioSession) -> None:
        self.session, self.folder = session, session.folder

    async def training(self, request: Request) -> Response:
        """Return the state of a training in words, the steps of its film, and its files."""
        return JSONResponse(await asyncio.to_thread(self._training, text_in(request, "name")))

    def _training(self, name: str) -> Table:
        """Return what is known of the training whose previews are in a folder. Raises UsageError, OSError."""
        if not name.endswith(FOLDER_SUFFIX):
            raise UsageError(name, "it is no training", f"give a folder whose name ends in {FOLDER_SUFFIX}")
        there = set(self.folder.names(name))
        status = read_table(self.folder.existing(f"{name}/{STATUS_FILE}")) if STATUS_FILE in there else None
        film = [PurePosixPath(file) for file in self.folder.names(f"{name}/film")]
        numbered = [file for file in film if file.stem.isdecimal() and file.suffix == ".png"]
        return {
            "name": name,
            "status": status or {},
            "film": [self._picture(f"{name}/film/{file.name}") for file in numbered[-MOST_PICTURES:]],
            "files": {Path(file).stem: f"{name}/{file}" for file in PICTURES if file in there},
        }

    def _picture(self, name: str) -> list[object]:
        """Return the step of a picture of a film, its name, and a version that changes with its content."""
        path = self.folder.existing(name)
        return [int(path.stem), name, path.stat().st_mtime_ns // 1_000_000]

    async def train(self, request: Request) -> Response:
        """Add the job that continues a run: of a model that was taken as it is, or for as many steps again."""
        message = await message_of(request)
        number, action = count_in(message, "job"), message.get("action")
        job, outcome = await asyncio.to_thread(self.session.queue.stored, number)
        if action == "on":
            step = train_on(job)
        elif action == "longer":
            step = train_longer(job, outcome)
        else:
            raise UsageError("action", "it is unknown", "use on or longer")
        return JSONResponse({"jobs": await asyncio.to_thread(self.session.enqueue, [step])})
