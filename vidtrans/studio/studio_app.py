"""The web application of the studio: its page, and routes for files, jobs, media, trainings and the live session."""

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

from vidtrans import medium_names, medium_picture, painting_names, painting_picture, shipped_looks
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Stop
from vidtrans.core.files import TRAINING_FILE, digest_of, write_bytes
from vidtrans.core.settings import Table
from vidtrans.core.text_files import is_count, read_table
from vidtrans.studio.easel_routes import EaselHandlers
from vidtrans.studio.guided_tasks import TASKS, find_task
from vidtrans.studio.live_host import LIVE_PATH
from vidtrans.studio.messages import (
    answers_in,
    body_of,
    count_in,
    message_of,
    number_in,
    route,
    routes_of,
    step_in,
    text_in,
)
from vidtrans.studio.project_folder import RESERVED_BYTES, ProjectFolder, file_kind, has_forbidden_characters
from vidtrans.studio.studio_jobs import FOLDER_SUFFIX, continue_training, extend_training
from vidtrans.studio.studio_session import StudioSession, SupersededRequest
from vidtrans.web import MAX_MESSAGE
from vidtrans.web.server import WebServer, qr_svg, shared_files

PAGE = Path(__file__).parent / "page"  # Folder of the files of the page
PHONE_PAGES = {"studio": "/", "live": f"{LIVE_PATH}/"}  # Paths of the pages that a QR code can open on a phone, by name
MAX_SIDE_PX = 8192  # Largest short side, in pixels, of a frame that a page requests
# Kinds of files that browsers show; others are downloaded, because a foreign HTML page may hold scripts
INLINE_KINDS = ("clip", "picture")
MAX_CHOICES = 8  # Largest number of values that a grid compares
MAX_CUTS = 20_000  # Largest number of cuts of a clip
MAX_FILM_PICTURES = 200  # Largest number of pictures in the time lapse of a training
# Files in the preview folder of a training that the page shows
TRAINING_FILES = ("input.png", "target.png", "preview.png", "training.png", "report.html")
COMMANDS_FILE = "commands.txt"  # File in a zipped project with the command lines of its jobs
PACK_LIFETIME_S = 3600.0  # Time, in s, for which the zip file of a project stays available


def serve(server: WebServer, session: StudioSession, stop: Stop) -> None:
    """Serve the studio until ``stop`` is requested."""
    session.live.server = server
    app = StudioApp(session, is_open=server.address.is_open).app()
    server.run(app, stop, session.running())


class StudioApp:
    """The route handlers of the studio. ``is_open``: whether other machines can reach the server."""

    def __init__(self, session: StudioSession, *, is_open: bool = True) -> None:
        self.session, self.folder, self.live, self.is_open = session, session.folder, session.live, is_open

    def app(self) -> ASGIApp:
        """Return the ASGI application with all routes of the studio."""
        pages = [Mount(LIVE_PATH, self.live), Mount("/page", StaticFiles(directory=PAGE)), shared_files()]
        easel = EaselHandlers(self.session, is_open=self.is_open)
        return Starlette(routes=[*routes_of(self), *routes_of(easel), *pages])

    @route("/")
    async def page(self, request: Request) -> Response:
        """Return the page of the studio."""
        return FileResponse(PAGE / "index.html")

    @route("/api/start")
    async def start(self, request: Request) -> Response:
        """Return the data that a page requests once: names of the folder, of commands, media and paintings; tasks."""
        tasks = [task.table() for task in TASKS.values()]
        commands = await asyncio.to_thread(self.session.commands.names)
        # Whether each has a picture
        media = {name: medium_picture(name) is not None for name in medium_names()}
        paintings = {name: painting_picture(name) is not None for name in painting_names()}
        looks = {"media": media, "paintings": paintings}
        return JSONResponse({"folder": self.folder.root.name, "wishes": tasks, "commands": commands} | looks)

    @route("/api/shelf")
    async def shelf(self, request: Request) -> Response:
        """Return the files of the project and a version of this list; no files if the page has this version."""
        items = [item.table() for item in await asyncio.to_thread(self.folder.items)]
        version = digest_of(items)[:16]
        is_known = request.query_params.get("known") == version
        return JSONResponse({"version": version, "items": None if is_known else items})

    @route("/api/folder")
    async def names(self, request: Request) -> Response:
        """Return the names of the files in a folder of the project."""
        return JSONResponse(await asyncio.to_thread(self.folder.names, text_in(request, "name")))

    @route("/api/schema")
    async def schema(self, request: Request) -> Response:
        """Return the options of a command for the page."""
        name = request.query_params.get("command", "")
        return JSONResponse(await asyncio.to_thread(self.session.commands.schema, name))

    @route("/api/log")
    async def log(self, request: Request) -> Response:
        """Return the end of a job's log."""
        return JSONResponse({"log": self.session.queue.log(number_in(request, "job"))})

    @route("/api/bin")
    async def bin(self, request: Request) -> Response:
        """Return the deleted files in the project's bin."""
        return JSONResponse(await asyncio.to_thread(self.folder.bin))

    @route("/api/cache")
    async def cache(self, request: Request) -> Response:
        """Return the size of the cache in bytes, and the number of its entries."""
        sizes = [
            entry["bytes"] for entry in (await self.session.run_command("cache list", ["cache", "list"]))["entries"]
        ]
        return JSONResponse({"bytes": sum(sizes), "entries": len(sizes)})

    @route("/api/cache", "POST")
    async def free(self, request: Request) -> Response:
        """Delete the cache entries that no job uses; return the number of freed bytes."""
        if await message_of(request) != {}:
            return JSONResponse({"bytes": 0})
        return JSONResponse({"bytes": (await self.session.run_command("cache clean", ["cache", "clean"]))["bytes"]})

    @route("/events")
    async def events(self, request: Request) -> Response:
        """Send the state of all jobs whenever it changes (server-sent events)."""

        async def lines() -> AsyncIterator[str]:
            """Yield the jobs as server-sent events."""
            async for jobs in self.session.updates():
                yield f"data: {json.dumps(jobs)}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    @route("/pack")
    async def pack(self, request: Request) -> Response:
        """Return a zip file of the project."""
        path = await asyncio.to_thread(pack, self.folder, self.session.jobs)
        return FileResponse(path, media_type="application/zip", filename=f"{self.folder.root.name}.zip")

    @route("/api/wish", "POST")
    async def wish(self, request: Request) -> Response:
        """Add the jobs of a guided task with its answers, or with edited steps; return their numbers."""
        message = await message_of(request)
        steps = find_task(str(message.get("wish"))).steps(answers_in(message))
        if (edited := message.get("steps")) is not None:  # Steps with further options
            if not isinstance(edited, list) or len(edited) != len(steps):
                raise UsageError("steps", "they are those of the wish", "send all of them")
            steps = [replace(step_in(one), after=step.after) for one, step in zip(edited, steps, strict=True)]
        return JSONResponse({"jobs": await asyncio.to_thread(self.session.enqueue, steps)})

    @route("/api/run", "POST")
    async def run(self, request: Request) -> Response:
        """Add a job for one command; return its number."""
        step = step_in(await message_of(request))
        return JSONResponse({"jobs": await asyncio.to_thread(self.session.enqueue, [step])})

    @route("/api/lines", "POST")
    async def lines(self, request: Request) -> Response:
        """Return the command lines of a task or a command, or the ``problem`` of an incomplete request."""
        message = await message_of(request)
        task = message.get("wish")
        try:
            steps = find_task(str(task)).steps(answers_in(message)) if task else [step_in(message)]
            lines = await asyncio.to_thread(self.session.lines, steps)
        except UsageError as error:
            return JSONResponse({"lines": [], "steps": [], "problem": str(error)})
        tables = [{"command": step.command, "values": step.values, "title": step.title} for step in steps]
        return JSONResponse({"lines": lines, "steps": tables, "problem": ""})

    @route("/api/estimate", "POST")
    async def estimate(self, request: Request) -> Response:
        """Return the estimated time and disk use of a command."""
        words = self.session.words(step_in(await message_of(request)))
        return JSONResponse(await self.session.run_command("estimate", [*words, "--dry-run"]))

    @route("/api/preview", "POST")
    async def preview(self, request: Request) -> Response:
        """Return one frame as a command would render it, as a PNG file; ``is_sample``: beside the main preview."""
        message = await message_of(request)
        frame, purpose = count_in(message, "frame"), "sample" if message.get("is_sample") is True else "preview"
        return FileResponse(await self.session.preview(step_in(message), frame, purpose), media_type="image/png")

    @route("/api/curve", "POST")
    async def curve(self, request: Request) -> Response:
        """Return the values of curves at each frame of a clip, or the ``problem`` of an incomplete expression."""
        step = step_in({"command": "curves", "values": (await message_of(request)).get("values")})
        try:
            return JSONResponse(await self.session.run_command("curves", self.session.words(step)) | {"problem": ""})
        except SupersededRequest:
            raise
        except UsageError as error:
            return JSONResponse({"curves": [], "problem": str(error)})

    @route("/api/flicker", "POST")
    async def flicker(self, request: Request) -> Response:
        """Return the flicker of each frame of a result, and of its source, in grey levels."""
        message = await message_of(request)
        output, source = (str(message.get(key, "")) for key in ("output", "source"))
        return JSONResponse(await self.session.flicker(output, source, count_in(message, "start", 0)))

    @route("/api/cuts", "POST")
    async def cuts(self, request: Request) -> Response:
        """Write the first frame numbers of a clip's shots to a file for commands; return the file's name."""
        message = await message_of(request)
        clip, cuts = str(message.get("clip", "")), message.get("cuts")
        if not isinstance(cuts, list) or len(cuts) > MAX_CUTS or not all(is_count(cut) for cut in cuts):
            raise UsageError("cuts", f"they are at most {MAX_CUTS:,} frames", "send a list of numbers")
        name = f"{clip.rpartition('.')[0] or clip}.cuts.txt"
        self.folder.existing(clip)
        lines = "".join(f"{cut}\n" for cut in sorted({0, *cuts}))
        await asyncio.to_thread(write_bytes, self.folder.path_of(name), lines.encode())
        return JSONResponse({"name": name})

    @route("/api/wall", "POST")
    async def wall(self, request: Request) -> Response:
        """Render a frame of a clip with several values of a setting, as a grid; return the key of the picture."""
        message = await message_of(request)
        values, choices = message.get("values"), message.get("choices")
        choices = choices if isinstance(choices, list) else []
        if not 1 <= len(choices) <= MAX_CHOICES or not all(isinstance(one, str) and "," not in one for one in choices):
            raise UsageError("choices", f"they are 1 to {MAX_CHOICES} texts without commas", "send a list")
        if not isinstance(values, dict):
            raise UsageError("values", "they are the options of a command", "send an object")
        return JSONResponse({"key": await self.session.wall(values, str(message.get("name", "")), choices)})

    @route("/wall")
    async def wall_file(self, request: Request) -> Response:
        """Return the picture of a grid by the key from ``wall``."""
        return FileResponse(self.session.preview_file(text_in(request, "key"), ".png"), media_type="image/png")

    @route("/api/job", "POST")
    async def job(self, request: Request) -> Response:
        """Pause, resume, cancel or remove a job, or let it deliver the current model of its training."""
        message = await message_of(request)
        number = count_in(message, "job")
        await asyncio.to_thread(self.session.queue.act, number, str(message.get("action")))
        return JSONResponse({})

    @route("/api/file", "POST")
    async def file(self, request: Request) -> Response:
        """Rename, delete or restore a file of the project, or empty the bin."""
        message = await message_of(request)
        name, action = str(message.get("name", "")), message.get("action")
        if action in ("rename", "delete"):
            await self.session.run_in_thread(self.session.media.release)  # Windows cannot move an open file
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

    @route("/api/received")
    async def received(self, request: Request) -> Response:
        """Return the number of bytes of an unfinished upload that have arrived."""
        name, whole, stamp = text_in(request, "name"), number_in(request, "whole"), number_in(request, "stamp")
        return JSONResponse({"bytes": self.session.uploads.received(name, whole, stamp)})

    @route("/api/upload", "PUT")
    async def upload(self, request: Request) -> Response:
        """Store a part of an uploaded file; return whether the file is complete."""
        body = await body_of(request, MAX_MESSAGE)
        name, is_painting = text_in(request, "name"), request.query_params.get("replace") == "1"
        offset, whole, stamp = (number_in(request, key) for key in ("offset", "whole", "stamp"))
        done = await self.session.run_in_thread(self.session.uploads.add, name, offset, whole, stamp, body, is_painting)
        return JSONResponse({"done": done})

    # Routes for media files

    @route("/media")
    async def media(self, request: Request) -> Response:
        """Return a file of the project: clips and pictures to show, others as downloads."""
        path = self.folder.existing(text_in(request, "name"))
        if path.is_dir():
            raise UsageError(path.name, "it is a folder", "choose a file in it")
        if file_kind(path) in INLINE_KINDS and "download" not in request.query_params:
            return FileResponse(path)
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)

    @route("/medium")
    async def medium(self, request: Request) -> Response:
        """Return the sample picture of a medium (oil, ink …) or of a painting."""
        name = text_in(request, "name")
        picture = painting_picture(name) or (medium_picture(name) if name in medium_names() else None)
        if picture is None:
            raise UsageError(name, "there is no picture of this look", f"choose one of {', '.join(shipped_looks())}")
        return FileResponse(picture)

    @route("/thumb")
    async def thumb(self, request: Request) -> Response:
        """Return a moving thumbnail, a JPEG file with its frames in a row; a header has their number."""
        path = self.folder.picture_of(text_in(request, "name"))
        facts, file = await self.session.run_in_thread(self.session.media.strip, path)
        headers = {"x-frames": str(facts["frames"]), "x-size": f"{facts['of'][0]}x{facts['of'][1]}"}
        return FileResponse(file, media_type="image/jpeg", headers=headers)

    @route("/frame")
    async def frame(self, request: Request) -> Response:
        """Return a frame of a clip as a PNG or JPEG file."""
        path, number = self.folder.existing(text_in(request, "name")), number_in(request, "frame")
        short = min(number_in(request, "short"), MAX_SIDE_PX) if "short" in request.query_params else 0
        kind = "png" if request.query_params.get("kind") == "png" else "jpeg"
        data = await self.session.run_in_thread(self.session.media.frame, path, number, short, kind)
        return Response(data, media_type=f"image/{kind}")

    @route("/facts")
    async def facts(self, request: Request) -> Response:
        """Return the size, frames, rate and shots of a clip, and request its proxy video if it is missing."""
        path = self.folder.existing(text_in(request, "name"))
        return JSONResponse(await self.session.run_in_thread(self.session.media.facts, path))

    @route("/proxy")
    async def proxy(self, request: Request) -> Response:
        """Return the proxy video of a clip. Raises UsageError if it does not exist yet."""
        file = self.session.media.proxy(self.folder.existing(text_in(request, "name")))
        if not file.is_file():
            raise UsageError(text_in(request, "name"), "its proxy is not made yet", "ask for /facts first")
        return FileResponse(file, media_type="video/mp4")

    # Routes for trainings

    @route("/api/training")
    async def training(self, request: Request) -> Response:
        """Return the state of a training, the pictures of its time lapse, and its files."""
        return JSONResponse(await asyncio.to_thread(self._training, text_in(request, "name")))

    def _training(self, name: str) -> Table:
        """Return the state of the training whose preview folder has this name. Raises UsageError, OSError."""
        if not name.endswith(FOLDER_SUFFIX):
            raise UsageError(name, "it is no training", f"give a folder whose name ends in {FOLDER_SUFFIX}")
        there = set(self.folder.names(name))
        status = read_table(self.folder.existing(f"{name}/{TRAINING_FILE}")) if TRAINING_FILE in there else None
        film = [PurePosixPath(file) for file in self.folder.names(f"{name}/film")]
        numbered = [file for file in film if file.stem.isdecimal() and file.suffix == ".png"]
        return {
            "name": name,
            "status": status or {},
            "film": [self._picture(f"{name}/film/{file.name}") for file in numbered[-MAX_FILM_PICTURES:]],
            "files": {Path(file).stem: f"{name}/{file}" for file in TRAINING_FILES if file in there},
        }

    def _picture(self, name: str) -> list[object]:
        """Return [step, name, version] of a time-lapse picture; the version changes with its content."""
        path = self.folder.existing(name)
        return [int(path.stem), name, path.stat().st_mtime_ns // 1_000_000]

    @route("/api/train", "POST")
    async def train(self, request: Request) -> Response:
        """Add a job that completes an interrupted training, or trains for as many steps again; return its number."""
        message = await message_of(request)
        number, action = count_in(message, "job"), message.get("action")
        job, outcome = await asyncio.to_thread(self.session.queue.stored, number)
        if action == "on":
            step = continue_training(job)
        elif action == "longer":
            step = extend_training(job, outcome)
        else:
            raise UsageError("action", "it is unknown", "use on or longer")
        return JSONResponse({"jobs": await asyncio.to_thread(self.session.enqueue, [step])})

    # Routes for the live session

    @route("/api/live")
    async def live_state(self, request: Request) -> Response:
        """Return the state of the live session."""
        return JSONResponse(self.live.table())

    @route("/api/live/schema")
    async def live_schema(self, request: Request) -> Response:
        """Return the options of the live session for the page."""
        return JSONResponse(await asyncio.to_thread(self.live.command.schema))

    @route("/api/live/line", "POST")
    async def live_line(self, request: Request) -> Response:
        """Return the command line of a live session, or the ``problem`` of incomplete values."""
        values = _values_in(await message_of(request))
        try:
            return JSONResponse({"line": await asyncio.to_thread(self.live.line, values), "problem": ""})
        except UsageError as error:
            return JSONResponse({"line": "", "problem": str(error)})

    @route("/api/live", "POST")
    async def live_act(self, request: Request) -> Response:
        """Start or stop the live session; return its state."""
        message = await message_of(request)
        action = message.get("action")
        if action == "start":
            await self.live.start(_values_in(message))
        elif action == "stop":
            await self.live.stop()
        else:
            raise UsageError("action", "it is unknown", "use start or stop")
        return JSONResponse(self.live.table())

    @route("/api/reach")
    async def reach(self, request: Request) -> Response:
        """Return whether other devices can reach this server, whether it uses HTTPS (for cameras), and its links."""
        address = self.live.server.address if self.live.server else None
        is_open, is_https = bool(address and address.is_open), bool(address and address.scheme == "https")
        links = {name: self.live.phone_link(path) for name, path in PHONE_PAGES.items()}
        return JSONResponse({"open": is_open, "https": is_https, "links": links})

    @route("/phone.svg")
    async def phone(self, request: Request) -> Response:
        """Return a QR code of the link to a page for phones, as SVG."""
        page = request.query_params.get("page", "studio")
        if page not in PHONE_PAGES:
            raise UsageError("page", "it is unknown", f"use one of {', '.join(PHONE_PAGES)}")
        return Response(qr_svg(self.live.phone_link(PHONE_PAGES[page])), media_type="image/svg+xml")


def _values_in(message: Table) -> Table:
    """Return the option values in a message, by option name. Raises UsageError."""
    values = message.get("values")
    if not isinstance(values, dict):
        raise UsageError("values", "they are options by name", "send an object")
    return values


def pack(folder: ProjectFolder, jobs: Sequence[Table]) -> Path:
    """Return a new zip file of the project files, with the command lines of finished jobs, oldest first.

    Raises UsageError if the disk has no room for it, OSError.
    """
    place = folder.state / "packs"
    place.mkdir(exist_ok=True)
    for old in place.iterdir():
        if time.time() - old.stat().st_mtime > PACK_LIFETIME_S:
            old.unlink(missing_ok=True)
    files = sorted(_files(folder))
    if sum(file.stat().st_size for file in files) > shutil.disk_usage(place).free - RESERVED_BYTES:
        raise UsageError(folder.root.name, "the disk has no room for a copy of it", "free some space")
    done = sorted((job for job in jobs if job["state"] == "done"), key=lambda job: int(job["number"]))
    path = place / f"{time.time_ns()}.zip"
    with zipfile.ZipFile(path, "w", strict_timestamps=False) as packed:  # Not compressed, as media already are
        for file in files:
            packed.write(file, f"{folder.root.name}/{folder.name_of(file)}")
        lines = "".join(f"{job['line']}\n" for job in done)
        packed.writestr(f"{folder.root.name}/{COMMANDS_FILE}", lines)
    return path


def _files(folder: ProjectFolder) -> Iterator[Path]:
    """Yield all files in the file list of the page, including those in datasets and picture folders."""
    for item in folder.items():
        path = folder.path_of(item.name)
        if path.is_file():
            yield path
        else:
            files = (p for p in path.rglob("*") if p.is_file() and not p.is_symlink() and not _is_hidden(p, path))
            yield from (p for p in files if not has_forbidden_characters(p.name))


def _is_hidden(path: Path, above: Path) -> bool:
    """Return whether a path below the folder ``above`` has a part that begins with a dot."""
    return any(part.startswith(".") for part in path.relative_to(above).parts)
