"""A running studio: its folder, queue and media, and what changes in them, for the pages that look at it."""

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

from vidtrans.core.errors import UsageError
from vidtrans.core.events import Note, Report, silent
from vidtrans.core.settings import Table
from vidtrans.core.system import command_line, module_command
from vidtrans.core.text_files import parse_own_table, read_table
from vidtrans.store.cache import FOLDER
from vidtrans.studio.easel_store import EaselStore
from vidtrans.studio.live_room import LiveCommand, LiveRoom
from vidtrans.studio.media_readers import Media
from vidtrans.studio.project_folder import ProjectFolder, Uploads
from vidtrans.studio.studio_jobs import JobQueue, StudioJob
from vidtrans.studio.wishes import WishStep

POLL_S = 0.4
COMMAND = module_command("vidtrans.cli.main")
QUICK_TIMEOUT_S = 180.0  # for an estimate, or a preview
Answer = TypeVar("Answer")


class Commands(Protocol):
    """The interface of the commands that a page offers."""

    def names(self) -> list[str]:
        """Return the names."""

    def schema(self, name: str) -> Table:
        """Return the JSON Schema of a command."""

    def words(self, name: str, values: Mapping[str, object]) -> list[str]:
        """Return the words of a command line. Raises UsageError."""


class Overtaken(UsageError):
    """A preview or an estimate that a later one replaced."""


class StudioSession:
    """The state that all pages share. ``at_once``: jobs that run side by side. ``live``: what a live session opens."""

    def __init__(
        self,
        folder: ProjectFolder,
        commands: Commands,
        at_once: int,
        report: Report = silent,
        live: LiveCommand | None = None,
    ) -> None:
        self.folder, self.commands, self._report = folder, commands, report
        self.queue = JobQueue(folder.state / "jobs", folder.root, at_once, commands.words)
        self.media = Media(folder.state / "media", folder.root / FOLDER)
        self.uploads = Uploads(folder, self.media.check)
        self.easel = EaselStore(folder, self.media.check)
        self.live = LiveRoom(live, report)
        self.jobs: list[Table] = []
        self._changed = asyncio.Condition()
        self._quick: dict[str, asyncio.subprocess.Process] = {}  # by what they are for
        self._overtaken: set[asyncio.subprocess.Process] = set()
        # Requests that wait for a decoder do not delay the queue, nor answers about it.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="media")
        self._version = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the queue; jobs that run at the end go on without this server."""
        ticking = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking
            await self.live.stop()
            await asyncio.to_thread(self.media.close)
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _tick(self) -> None:
        self._threads.submit(self.media.prune)  # jobs do not wait for it
        said = ""
        while True:
            try:
                jobs = await asyncio.to_thread(self.queue.step)
            except Exception as error:  # such as a stick that was pulled out: the queue goes on when it is back
                if str(error) != said:
                    said = str(error)
                    self._report(Note(f"the queue cannot be read: {error}", "warning"))
                await asyncio.sleep(1)
                continue
            if jobs != self.jobs:
                async with self._changed:
                    self.jobs, self._version = jobs, self._version + 1
                    self._changed.notify_all()
            await asyncio.sleep(POLL_S)

    async def decoded(self, ask: Callable[..., Answer], *arguments: object) -> Answer:
        """Return the answer of a function that may wait for a decoder."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask, *arguments)

    async def updates(self) -> AsyncIterator[list[Table]]:
        """Yield the jobs now, and whenever they change."""
        seen = -1
        while True:
            async with self._changed:
                while self._version == seen:
                    await self._changed.wait()
                seen, jobs = self._version, self.jobs
            yield jobs

    def rename(self, name: str, new: str) -> None:
        """Rename a file or folder; painted frames keep their layers and history. Raises UsageError, OSError."""
        self.folder.rename(name, new)
        self.easel.follow(name, new)

    def enqueue(self, steps: Sequence[WishStep]) -> list[int]:
        """Add the jobs of steps, and return their numbers. Raises UsageError, OSError."""
        jobs = []
        for step in steps:
            words = self.words(step)
            jobs.append(StudioJob(step.command, step.values, words, step.title, list(step.after)))
        return self.queue.add(jobs)

    def _inputs(self, values: Mapping[str, object]) -> list[str]:
        """Return the names of the files, among values, that exist."""
        found = []
        for value in values.values():
            for one in value if isinstance(value, list) else [value]:
                with suppress(UsageError):
                    if isinstance(one, str) and self.folder.place(one).exists():
                        found.append(one)
        return found

    def words(self, step: WishStep) -> list[str]:
        """Return the words of the command line of a step. Raises UsageError."""
        return self.commands.words(step.command, step.values)

    def lines(self, steps: Sequence[WishStep]) -> list[str]:
        """Return the command lines of steps. Raises UsageError."""
        return [command_line(["vidtrans", *self.words(step)]) for step in steps]

    async def flicker(self, output: str, source: str, start: int) -> Table:
        """Return the ``flicker`` of each frame of a result, and ``flicker_source`` there, in levels.

        ``start``: the frame of the source where the result begins. Raises UsageError.
        """
        span = {"start": str(start)} if start else {}
        step = WishStep("evaluate", {"output": [output], "source": source, **span}, "flicker")
        words, file = self.words(step), self._kept(step, 0).with_suffix(".json")
        if not file.is_file():
            await self.quickly("flicker", [*words, "-o", str(file), "--overwrite"])
        series = (read_table(file) or {}).get("series")
        names = ("frame", "flicker", "flicker_source")
        if not isinstance(series, dict) or not all(name in series for name in names):
            file.unlink(missing_ok=True)
            raise UsageError("flicker", "what was kept of it is damaged", "ask for it again")
        return {name: series[name] for name in names}

    async def preview(self, step: WishStep, frame: int) -> Path:
        """Return the picture that a render gives for one frame. Raises UsageError."""
        words = self.words(step)
        folder = self._kept(step, frame)
        if not (made := sorted(folder.glob("*.png"))):
            span = ["--start", str(frame), "--end", str(frame + 1), "--overwrite"]
            await self.quickly("preview", [*words, *span, "-o", str(folder / "%05d.png")])
            made = sorted(folder.glob("*.png"))
        if not made:
            raise UsageError("preview", "no picture was made", "choose another frame")
        return made[0]

    async def wall(self, values: Table, name: str, choices: Sequence[str]) -> str:
        """Return the key of a grid: a frame of a clip, then the same with each choice of a setting. Raises UsageError.

        ``values``: of the command ``try``.
        """
        step = WishStep("try", values | {"vary": [f"{name}={','.join(choices)}"], "frames": 1}, "wall")
        words, file = self.words(step), self._kept(step, 0).with_suffix(".png")
        if not file.is_file():
            await self.quickly("wall", [*words, "-o", str(file), "--overwrite"])
        return file.stem

    def kept_file(self, key: str, suffix: str) -> Path:
        """Return the file of a film, .mp4, or of a grid, .png. Raises UsageError."""
        file = self.folder.state / "previews" / f"{key}{suffix}"
        if not (key.isalnum() and key.isascii() and file.is_file()):
            raise UsageError(key[:40], "there is no such preview", "ask for it again")
        return file

    def _kept(self, step: WishStep, frame: int) -> Path:
        """Return where the preview of a step is kept, as long as no file that it reads changes."""
        states = [(name, self.folder.place(name).stat().st_mtime_ns) for name in self._inputs(step.values)]
        mark = json.dumps([step.command, step.values, frame, states])
        return self.folder.state / "previews" / hashlib.sha256(mark.encode()).hexdigest()[:24]

    async def quickly(self, purpose: str, words: Sequence[str]) -> Table:
        """Run a command that takes seconds, and return its table; it ends an earlier one for the same ``purpose``.

        Raises UsageError with its error.
        """
        if (earlier := self._quick.get(purpose)) is not None and earlier.returncode is None:
            self._overtaken.add(earlier)
            earlier.kill()  # nobody looks at it any more
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *words,
            "--json",
            cwd=self.folder.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._quick[purpose] = process
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
        if process in self._overtaken:
            self._overtaken.discard(process)
            raise Overtaken(words[0], "it was ended by a later request", "wait for that one")
        raise UsageError(words[0], f"it ended with status {process.returncode}", "run it as a job, and read its log")
