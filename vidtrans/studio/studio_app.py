"""The web application of the studio: its page, and what the page asks of the folder, the queue and the media."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from vidtrans.core.errors import UsageError
from vidtrans.core.events import Stop
from vidtrans.core.files import digest_of, write_bytes
from vidtrans.core.settings import Table
from vidtrans.core.text_files import is_count, read_table
from vidtrans.models.look_pictures import medium_picture
from vidtrans.strokes.media import medium_names
from vidtrans.studio.easel_routes import EaselHandlers
from vidtrans.studio.live_room import PATH
from vidtrans.studio.messages import (
    answers_in,
    at,
    body_of,
    count_in,
    message_of,
    number_in,
    routes_of,
    step_in,
    text_in,
)
from vidtrans.studio.project_folder import RESERVED, ProjectFolder, file_kind, is_odd_name
from vidtrans.studio.studio_jobs import FOLDER_SUFFIX, train_longer, train_on
from vidtrans.studio.studio_session import Overtaken, StudioSession
from vidtrans.studio.wishes import WISHES, find_wish
from vidtrans.training.training_words import STATUS_FILE
from vidtrans.web import MAX_MESSAGE
from vidtrans.web.server import WebServer, qr_svg, shared_files

PAGE = Path(__file__).parent / "page"
PHONE_PAGES = {"studio": "/", "live": f"{PATH}/"}
LONGEST_SIDE = 8192  # pixels, of a frame that a page asks for
SHOWN = ("clip", "picture")  # other files are downloaded: a page from somewhere may hold scripts
MOST_CHOICES = 8  # of a grid
MOST_CUTS = 20_000  # of a clip
MOST_PICTURES = 200  # of the film of a training
PICTURES = ("input.png", "target.png", "preview.png", "training.png", "report.html")  # of a training
COMMANDS = "commands.txt"  # of a pack
KEPT_S = 3600.0  # for which a pack may still be sent


def serve(server: WebServer, session: StudioSession, stop: Stop) -> None:
    """Serve the studio until ``stop`` is requested."""
    session.live.server = server
    app = StudioApp(session, is_open=server.address.is_open).app()
    server.run(app, stop, session.running())


class StudioApp:
    """The routes. ``is_open``: other machines can reach the server."""

    def __init__(self, session: StudioSession, *, is_open: bool = True) -> None:
        self.session, self.folder, self.live, self.is_open = session, session.folder, session.live, is_open

    def app(self) -> ASGIApp:
        """Return the ASGI application."""
        pages = [Mount(PATH, self.live), Mount("/page", StaticFiles(directory=PAGE)), shared_files()]
        easel = EaselHandlers(self.session, is_open=self.is_open)
        return Starlette(routes=[*routes_of(self), *routes_of(easel), *pages])

    @at("/")
    async def page(self, request: Request) -> Response:
        """Return the page."""
        return FileResponse(PAGE / "index.html")

    @at("/api/start")
    async def start(self, request: Request) -> Response:
        """Return what a page needs once."""
        wishes = [wish.table() for wish in WISHES.values()]
        commands = await asyncio.to_thread(self.session.commands.names)
        media = {name: medium_picture(name) is not None for name in medium_names()}  # whether each has a picture
        return JSONResponse({"folder": self.folder.root.name, "wishes": wishes, "media": media, "commands": commands})

    @at("/api/shelf")
    async def shelf(self, request: Request) -> Response:
        """Return the files of the folder, and a version of this list; no files if it is the ``known`` one."""
        items = [item.table() for item in await asyncio.to_thread(self.folder.items)]
        version = digest_of(items)[:16]
        is_known = request.query_params.get("known") == version
        return JSONResponse({"version": version, "items": None if is_known else items})

    @at("/api/folder")
    async def names(self, request: Request) -> Response:
        """Return the names of the files in a folder."""
        return JSONResponse(await asyncio.to_thread(self.folder.names, text_in(request, "name")))

    @at("/api/schema")
    async def schema(self, request: Request) -> Response:
        """Return the schema of a command."""
        name = request.query_params.get("command", "")
        return JSONResponse(await asyncio.to_thread(self.session.commands.schema, name))

    @at("/api/log")
    async def log(self, request: Request) -> Response:
        """Return the end of a job's log."""
        return JSONResponse({"log": self.session.queue.log(number_in(request, "job"))})

    @at("/api/bin")
    async def bin(self, request: Request) -> Response:
        """Return what was deleted."""
        return JSONResponse(await asyncio.to_thread(self.folder.bin))

    @at("/api/cache")
    async def cache(self, request: Request) -> Response:
        """Return the size of the cache, and the number of its entries."""
        sizes = [entry["bytes"] for entry in (await self.session.quickly("cache list", ["cache", "list"]))["entries"]]
        return JSONResponse({"bytes": sum(sizes), "entries": len(sizes)})

    @at("/api/cache", "POST")
    async def free(self, request: Request) -> Response:
        """Delete the entries of the cache that no job uses."""
        if await message_of(request) != {}:
            return JSONResponse({"bytes": 0})
        return JSONResponse({"bytes": (await self.session.quickly("cache clean", ["cache", "clean"]))["bytes"]})

    @at("/events")
    async def events(self, request: Request) -> Response:
        """Send the jobs whenever they change (server-sent events)."""

        async def lines() -> AsyncIterator[str]:
            async for jobs in self.session.updates():
                yield f"data: {json.dumps(jobs)}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    @at("/pack")
    async def pack(self, request: Request) -> Response:
        """Return the whole project as a zip file."""
        path = await asyncio.to_thread(pack, self.folder, self.session.jobs)
        return FileResponse(path, media_type="application/zip", filename=f"{self.folder.root.name}.zip")

    @at("/api/wish", "POST")
    async def wish(self, request: Request) -> Response:
        """Add the jobs of a wish."""
        message = await message_of(request)
        steps = find_wish(str(message.get("wish"))).steps(answers_in(message))
        if (changed := message.get("steps")) is not None:  # options that were set besides the answers
            if not isinstance(changed, list) or len(changed) != len(steps):
                raise UsageError("steps", "they are those of the wish", "send all of them")
            steps = [replace(step_in(one), after=step.after) for one, step in zip(changed, steps, strict=True)]
        return JSONResponse({"jobs": await asyncio.to_thread(self.session.enqueue, steps)})

    @at("/api/run", "POST")
    async def run(self, request: Request) -> Response:
        """Add the job of a command."""
        step = step_in(await message_of(request))
        return JSONResponse({"jobs": await asyncio.to_thread(self.session.enqueue, [step])})

    @at("/api/lines", "POST")
    async def lines(self, request: Request) -> Response:
        """Return the command lines of a wish, or of a command; or the ``problem`` of one that is not complete yet."""
        message = await message_of(request)
        wished = message.get("wish")
        try:
            steps = find_wish(str(wished)).steps(answers_in(message)) if wished else [step_in(message)]
            lines = await asyncio.to_thread(self.session.lines, steps)
        except UsageError as error:
            return JSONResponse({"lines": [], "steps": [], "problem": str(error)})
        tables = [{"command": step.command, "values": step.values, "title": step.title} for step in steps]
        return JSONResponse({"lines": lines, "steps": tables, "problem": ""})

    @at("/api/estimate", "POST")
    async def estimate(self, request: Request) -> Response:
        """Return what a command would take: the table of its dry run."""
        words = self.session.words(step_in(await message_of(request)))
        return JSONResponse(await self.session.quickly("estimate", [*words, "--dry-run"]))

    @at("/api/preview", "POST")
    async def preview(self, request: Request) -> Response:
        """Return one frame of a render."""
        message = await message_of(request)
        frame = count_in(message, "frame")
        return FileResponse(await self.session.preview(step_in(message), frame), media_type="image/png")

    @at("/api/curve", "POST")
    async def curve(self, request: Request) -> Response:
        """Return the values of curves over a clip; or the ``problem`` of one that is not written to its end yet."""
        step = step_in({"command": "curves", "values": (await message_of(request)).get("values")})
        try:
            return JSONResponse(await self.session.quickly("curves", self.session.words(step)) | {"problem": ""})
        except Overtaken:
            raise
        except UsageError as error:
            return JSONResponse({"curves": [], "problem": str(error)})

    @at("/api/flicker", "POST")
    async def flicker(self, request: Request) -> Response:
        """Return the flicker of each frame of a result, and of its source there."""
        message = await message_of(request)
        output, source = (str(message.get(key, "")) for key in ("output", "source"))
        return JSONResponse(await self.session.flicker(output, source, count_in(message, "start", 0)))

    @at("/api/cuts", "POST")
    async def cuts(self, request: Request) -> Response:
        """Write where the shots of a clip begin, to a file that commands read; return its name."""
        message = await message_of(request)
        clip, cuts = str(message.get("clip", "")), message.get("cuts")
        if not isinstance(cuts, list) or len(cuts) > MOST_CUTS or not all(is_count(cut) for cut in cuts):
            raise UsageError("cuts", f"they are at most {MOST_CUTS:,} frames", "send a list of numbers")
        name = f"{clip.rpartition('.')[0] or clip}.cuts.txt"
        self.folder.existing(clip)
        lines = "".join(f"{cut}\n" for cut in sorted({0, *cuts}))
        await asyncio.to_thread(write_bytes, self.folder.place(name), lines.encode())
        return JSONResponse({"name": name})

    @at("/api/wall", "POST")
    async def wall(self, request: Request) -> Response:
        """Make a grid of a frame of a clip, with several values of a setting."""
        message = await message_of(request)
        values, choices = message.get("values"), message.get("choices")
        choices = choices if isinstance(choices, list) else []
        if not 1 <= len(choices) <= MOST_CHOICES or not all(isinstance(one, str) and "," not in one for one in choices):
            raise UsageError("choices", f"they are 1 to {MOST_CHOICES} texts without commas", "send a list")
        if not isinstance(values, dict):
            raise UsageError("values", "they are the options of a command", "send an object")
        return JSONResponse({"key": await self.session.wall(values, str(message.get("name", "")), choices)})

    @at("/wall")
    async def wall_file(self, request: Request) -> Response:
        """Return a grid that was made."""
        return FileResponse(self.session.kept_file(text_in(request, "key"), ".png"), media_type="image/png")

    @at("/api/job", "POST")
    async def job(self, request: Request) -> Response:
        """Pause, resume, cancel or remove a job, or take its model as it is."""
        message = await message_of(request)
        number = count_in(message, "job")
        await asyncio.to_thread(self.session.queue.act, number, str(message.get("action")))
        return JSONResponse({})

    @at("/api/file", "POST")
    async def file(self, request: Request) -> Response:
        """Rename, delete or restore a file, or empty the bin."""
        message = await message_of(request)
        name, action = str(message.get("name", "")), message.get("action")
        if action in ("rename", "delete"):
            await self.session.decoded(self.session.media.release)  # Windows moves no file that is open
        if action == "rename":
            await asyncio.to_thread(self.session.rename, name, str(message.get("new", "")))
            return JSONResponse({})
        if action == "delete":
            return JSONResponse({"number": await asyncio.to_thread(self.folder.delete, name)})
        if action == "restore":
            return JSONResponse({"name": await asyncio.to_thread(self.folder.restore, name)})
        if action == "empty":
            return JSONResponse({"bytes": await asyncio.to_thread(self.folder.empty_bin)})
        raise UsageError("action", "it is unknown", "use rename, delete, restore or empty")

    @at("/api/received")
    async def received(self, request: Request) -> Response:
        """Return how much of an upload has arrived, to go on with it."""
        name, whole, stamp = text_in(request, "name"), number_in(request, "whole"), number_in(request, "stamp")
        return JSONResponse({"bytes": self.session.uploads.received(name, whole, stamp)})

    @at("/api/upload", "PUT")
    async def upload(self, request: Request) -> Response:
        """Take a part of a file."""
        body = await body_of(request, MAX_MESSAGE)
        name, is_painting = text_in(request, "name"), request.query_params.get("replace") == "1"
        offset, whole, stamp = (number_in(request, key) for key in ("offset", "whole", "stamp"))
        done = await self.session.decoded(self.session.uploads.add, name, offset, whole, stamp, body, is_painting)
        return JSONResponse({"done": done})

    # Media

    @at("/media")
    async def media(self, request: Request) -> Response:
        """Return a file: clips and pictures to show, others as downloads."""
        path = self.folder.existing(text_in(request, "name"))
        if path.is_dir():
            raise UsageError(path.name, "it is a folder", "choose a file in it")
        if file_kind(path) in SHOWN and "download" not in request.query_params:
            return FileResponse(path)
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)

    @at("/medium")
    async def medium(self, request: Request) -> Response:
        """Return the picture that shows a medium."""
        name = text_in(request, "name")
        picture = medium_picture(name) if name in medium_names() else None
        if picture is None:
            raise UsageError(name, "there is no picture of this medium", f"choose one of {', '.join(medium_names())}")
        return FileResponse(picture)

    @at("/thumb")
    async def thumb(self, request: Request) -> Response:
        """Return a moving thumbnail, its frames side by side; their number is in a header."""
        path = self.folder.picture_of(text_in(request, "name"))
        facts, file = await self.session.decoded(self.session.media.strip, path)
        headers = {"x-frames": str(facts["frames"]), "x-size": f"{facts['of'][0]}x{facts['of'][1]}"}
        return FileResponse(file, media_type="image/jpeg", headers=headers)

    @at("/frame")
    async def frame(self, request: Request) -> Response:
        """Return a frame of a clip, exactly, as PNG or JPEG."""
        path, number = self.folder.existing(text_in(request, "name")), number_in(request, "frame")
        short = min(number_in(request, "short"), LONGEST_SIDE) if "short" in request.query_params else 0
        kind = "png" if request.query_params.get("kind") == "png" else "jpeg"
        data = await self.session.decoded(self.session.media.frame, path, number, short, kind)
        return Response(data, media_type=f"image/{kind}")

    @at("/facts")
    async def facts(self, request: Request) -> Response:
        """Return what is known of a clip; its proxy begins to be made."""
        path = self.folder.existing(text_in(request, "name"))
        return JSONResponse(await self.session.decoded(self.session.media.facts, path))

    @at("/proxy")
    async def proxy(self, request: Request) -> Response:
        """Return the small film of a clip."""
        file = self.session.media.proxy(self.folder.existing(text_in(request, "name")))
        if not file.is_file():
            raise UsageError(text_in(request, "name"), "its proxy is not made yet", "ask for /facts first")
        return FileResponse(file, media_type="video/mp4")

    # Trainings

    @at("/api/training")
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

    @at("/api/train", "POST")
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

    # The live session

    @at("/api/live")
    async def live_state(self, request: Request) -> Response:
        """Return whether a session runs, and what it does."""
        return JSONResponse(self.live.table())

    @at("/api/live/schema")
    async def live_schema(self, request: Request) -> Response:
        """Return the schema of the command."""
        return JSONResponse(await asyncio.to_thread(self.live.command.schema))

    @at("/api/live/line", "POST")
    async def live_line(self, request: Request) -> Response:
        """Return the command line of values, or the ``problem`` of values that are not complete yet."""
        values = _values_in(await message_of(request))
        try:
            return JSONResponse({"line": await asyncio.to_thread(self.live.line, values), "problem": ""})
        except UsageError as error:
            return JSONResponse({"line": "", "problem": str(error)})

    @at("/api/live", "POST")
    async def live_act(self, request: Request) -> Response:
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

    @at("/api/reach")
    async def reach(self, request: Request) -> Response:
        """Return whether other devices can reach this server, and whether its pages may use their camera."""
        address = self.live.server.address if self.live.server else None
        is_open, is_https = bool(address and address.is_open), bool(address and address.scheme == "https")
        links = {name: self.live.phone_link(path) for name, path in PHONE_PAGES.items()}
        return JSONResponse({"open": is_open, "https": is_https, "links": links})

    @at("/phone.svg")
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


def pack(folder: ProjectFolder, jobs: Sequence[Table]) -> Path:
    """Return a zip file of what the shelf shows, with the command lines of jobs that are done, the oldest first.

    Raises UsageError if the disk has no room for it, OSError.
    """
    place = folder.state / "packs"
    place.mkdir(exist_ok=True)
    for old in place.iterdir():
        if time.time() - old.stat().st_mtime > KEPT_S:
            old.unlink(missing_ok=True)
    files = sorted(_files(folder))
    if sum(file.stat().st_size for file in files) > shutil.disk_usage(place).free - RESERVED:
        raise UsageError(folder.root.name, "the disk has no room for a copy of it", "free some space")
    done = sorted((job for job in jobs if job["state"] == "done"), key=lambda job: int(job["number"]))
    path = place / f"{time.time_ns()}.zip"
    with zipfile.ZipFile(path, "w", strict_timestamps=False) as packed:  # not compressed: media are already
        for file in files:
            packed.write(file, f"{folder.root.name}/{folder.name_of(file)}")
        lines = "".join(f"{job['line']}\n" for job in done)
        packed.writestr(f"{folder.root.name}/{COMMANDS}", lines)
    return path


def _files(folder: ProjectFolder) -> Iterator[Path]:
    """Yield the files of all items; those in datasets and folders of pictures, too."""
    for item in folder.items():
        path = folder.place(item.name)
        if path.is_file():
            yield path
        else:
            found = (p for p in path.rglob("*") if p.is_file() and not p.is_symlink() and not _is_hidden(p, path))
            yield from (p for p in found if not is_odd_name(p.name))


def _is_hidden(path: Path, above: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(above).parts)
