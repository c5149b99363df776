"""A running studio: its project folder, job queue, media and live session, with job updates for its pages."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from vidtrans.core.child_process import VIDTRANS
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Note, Report, ignore_event
from vidtrans.core.files import CACHE_FOLDER, write_bytes
from vidtrans.core.settings import Table
from vidtrans.core.system import command_line
from vidtrans.core.text_files import parse_own_table, read_table
from vidtrans.studio.easel_store import EaselStore
from vidtrans.studio.guided_tasks import CommandStep
from vidtrans.studio.live_host import LiveCommand, LiveHost
from vidtrans.studio.media_readers import Media
from vidtrans.studio.project_folder import ProjectFolder, Uploads
from vidtrans.studio.studio_jobs import JobQueue, StudioJob

POLL_S = 0.4  # Interval, in s, at which the job queue is checked
PREVIEW_SIDE_PX = 1080  # Largest short side, in pixels, of a preview
QUICK_TIMEOUT_S = 180.0  # Longest time, in s, of an estimate or a preview
Answer = TypeVar("Answer")  # Result type of a function that runs in a thread


class Commands(Protocol):
    """The interface of the vidtrans commands that a page offers."""

    def names(self) -> list[str]:
        """Return the names of the commands."""

    def schema(self, name: str) -> Table:
        """Return the options of a command for the page."""

    def words(self, name: str, values: Mapping[str, object]) -> list[str]:
        """Return the words of the command line of command ``name`` with option ``values``. Raises UsageError."""


class SupersededRequest(UsageError):
    """Error of a preview or an estimate that a later request of the same purpose replaced."""


class StudioSession:
    """The state that all pages of a studio share.

    ``at_once``: the number of concurrent jobs. ``live``: the command that opens live sessions; None: no live sessions.
    """

    def __init__(
        self,
        folder: ProjectFolder,
        commands: Commands,
        at_once: int,
        report: Report = ignore_event,
        live: LiveCommand | None = None,
    ) -> None:
        self.folder, self.commands, self._report = folder, commands, report
        self.queue = JobQueue(folder.state / "jobs", folder.root, at_once, commands.words)
        self.media = Media(folder.state / "media", folder.root / CACHE_FOLDER)
        self.uploads = Uploads(folder, self.media.check)
        self.easel = EaselStore(folder, self.media.check)
        self.live = LiveHost(live, report)
        self.jobs: list[Table] = []
        self._changed = asyncio.Condition()
        self._running_commands: dict[str, asyncio.subprocess.Process] = {}  # By purpose
        self._superseded: set[asyncio.subprocess.Process] = set()
        # A separate thread pool, so that requests that wait for a decoding process do not delay the job queue.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="media")
        self._version = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the job queue while this context is open; afterwards, running jobs continue without the server."""
        ticking = asyncio.create_task(self._run_queue())
        try:
            yield
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking
            await self.live.stop()
            await asyncio.to_thread(self.media.close)
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run_queue(self) -> None:
        """Start due jobs at intervals of ``POLL_S``, and publish the jobs when they change."""
        self._threads.submit(self.media.prune)
        last_error = ""
        while True:
            try:
                jobs = await asyncio.to_thread(self.queue.step)
            except Exception as error:  # Such as a removed drive: the queue continues when it is back
                if str(error) != last_error:
                    last_error = str(error)
                    self._report(Note(f"the queue cannot be read: {error}", "warning"))
                await asyncio.sleep(1)
                continue
            if jobs != self.jobs:
                async with self._changed:
                    self.jobs, self._version = jobs, self._version + 1
                    self._changed.notify_all()
            await asyncio.sleep(POLL_S)

    async def run_in_thread(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        """Return the result of a function, run in a thread of its own pool: it may wait for a decoding process."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def updates(self) -> AsyncIterator[list[Table]]:
        """Yield the jobs for the page at once, and again whenever they change."""
        last_version = -1
        while True:
            async with self._changed:
                while self._version == last_version:
                    await self._changed.wait()
                last_version, jobs = self._version, self.jobs
            yield jobs

    def rename(self, name: str, new_name: str) -> None:
        """Rename a project file or folder; painted frames keep their layers and history. Raises UsageError, OSError."""
        self.folder.rename(name, new_name)
        self.easel.move_sheets(name, new_name)

    def enqueue(self, steps: Sequence[CommandStep]) -> list[int]:
        """Add a job for each step to the queue; return the job numbers. Raises UsageError, OSError."""
        jobs = []
        for step in steps:
            words = self.words(step)
            jobs.append(StudioJob(step.command, step.values, words, step.title, list(step.after)))
        return self.queue.add(jobs)

    def _inputs(self, values: Mapping[str, object]) -> list[str]:
        """Return those option values that name existing files of the project."""
        names = []
        for value in values.values():
            for one in value if isinstance(value, list) else [value]:
                with suppress(UsageError):
                    if isinstance(one, str) and self.folder.path_of(one).exists():
                        names.append(one)
        return names

    def words(self, step: CommandStep) -> list[str]:
        """Return the words of the command line of a step. Raises UsageError."""
        return self.commands.words(step.command, step.values)

    def lines(self, steps: Sequence[CommandStep]) -> list[str]:
        """Return the command lines of steps, as a shell would take them. Raises UsageError."""
        return [command_line(["vidtrans", *self.words(step)]) for step in steps]

    async def flicker(self, output: str, source: str, start: int) -> Table:
        """Return the flicker of each frame of a result and of its source (``flicker_source``), in grey levels.

        ``start``: the frame of the source where the result begins. Raises UsageError.
        """
        span = {"start": str(start)} if start else {}
        step = CommandStep("evaluate", {"output": [output], "source": source, **span}, "flicker")
        words, file = self.words(step), self._preview_path(step, 0).with_suffix(".json")
        if not file.is_file():
            await self.run_command("flicker", [*words, "-o", str(file), "--overwrite"])
        series = (read_table(file) or {}).get("series")
        names = ("frame", "flicker", "flicker_source")
        if not isinstance(series, dict) or not all(name in series for name in names):
            file.unlink(missing_ok=True)
            raise UsageError("flicker", "what was kept of it is damaged", "ask for it again")
        return {name: series[name] for name in names}

    async def preview(self, step: CommandStep, frame: int, purpose: str = "preview") -> Path:
        """Return the path of a PNG file of one frame of the step's first video, rendered as a single picture.

        As part of the clip, a frame in the middle of a shot would need the strokes of all frames of the shot before it.
        ``purpose``: see ``run_command``. Raises UsageError.
        """
        words, path = self.words(step), self._preview_path(step, frame).with_suffix(".png")
        if not path.is_file():
            videos = step.values.get("video")
            name = str(videos[0]) if isinstance(videos, list) and videos else ""
            data = await self.run_in_thread(self.media.frame, self.folder.existing(name), frame, PREVIEW_SIDE_PX, "png")
            picture = path.with_suffix(".source.png")
            await asyncio.to_thread(write_bytes, picture, data)
            words[len(step.command.split())] = str(picture)  # The videos follow the command
            await self.run_command(purpose, [*words, "-o", str(path), "--overwrite"])
        return path

    async def wall(self, values: Table, name: str, choices: Sequence[str]) -> str:
        """Render a grid: a frame of a clip, plain and with each of the ``choices`` of setting ``name``; return its key.

        ``values``: options of the command ``try``. Raises UsageError.
        """
        step = CommandStep("try", values | {"vary": [f"{name}={','.join(choices)}"], "frames": 1}, "wall")
        words, file = self.words(step), self._preview_path(step, 0).with_suffix(".png")
        if not file.is_file():
            await self.run_command("wall", [*words, "-o", str(file), "--overwrite"])
        return file.stem

    def preview_file(self, key: str, suffix: str) -> Path:
        """Return the cached file with a key: a motion preview (.mp4) or a grid of pictures (.png).

        Raises UsageError.
        """
        file = self.folder.state / "previews" / f"{key}{suffix}"
        if not (key.isalnum() and key.isascii() and file.is_file()):
            raise UsageError(key[:40], "there is no such preview", "ask for it again")
        return file

    def _preview_path(self, step: CommandStep, frame: int) -> Path:
        """Return the cache path of a preview; it changes when a file that the command reads changes."""
        states = [(name, self.folder.path_of(name).stat().st_mtime_ns) for name in self._inputs(step.values)]
        mark = json.dumps([step.command, step.values, frame, states])
        return self.folder.state / "previews" / hashlib.sha256(mark.encode()).hexdigest()[:24]

    async def run_command(self, purpose: str, words: Sequence[str]) -> Table:
        """Run a short command and return its JSON result; end an earlier one with the same ``purpose``.

        Raises UsageError with the error of the command.
        """
        if (earlier := self._running_commands.get(purpose)) is not None and earlier.returncode is None:
            self._superseded.add(earlier)
            earlier.kill()
        process = await asyncio.create_subprocess_exec(
            *VIDTRANS,
            *words,
            "--json",
            cwd=self.folder.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._running_commands[purpose] = process
        try:
            out, _ = await asyncio.wait_for(process.communicate(), QUICK_TIMEOUT_S)
        except TimeoutError:
            raise UsageError(words[0], "it took too long", "run it as a job") from None
        finally:
            if process.returncode is None:
                process.kill()
        with suppress(ValueError):
            table = parse_own_table(out)
            if "error" in table:
                raise UsageError(words[0], str(table["error"]), "change what was chosen")
            return table
        if process in self._superseded:
            self._superseded.discard(process)
            raise SupersededRequest(words[0], "it was ended by a later request", "wait for that one")
        raise UsageError(words[0], f"it ended with status {process.returncode}", "run it as a job, and read its log")
