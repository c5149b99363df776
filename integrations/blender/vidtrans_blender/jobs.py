"""Jobs: one or two processes after each other, in a folder that outlives Blender."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from .faults import UserError
from .job_files import STOPPED, StepFiles, read_table, write_table
from .job_seals import NUM_BYTES, is_sealed, read_key, seal_of
from .programs import hidden_window

FORMAT = 1
MOST_STARTS = 3  # after which a job that ends without a word waits for Resume: it may fill the memory each time
KEYS = {"title", "steps", "target", "output", "inserted", "cancelled", "message", "starts"}


class JobState(Enum):
    """The state of a job."""

    WAITING = "waiting"  # its next process has to be started
    RUNNING = "running"
    READY = "ready"  # its result is there, and not yet in the sequencer
    INSERTED = "inserted"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # its process was killed
    FAILED = "failed"


@dataclass(frozen=True)
class Step:
    """A process of a job: its title, its command line without the job's folder, and its working folder."""

    title: str
    line: tuple[str, ...]
    folder: str
    is_vidtrans: bool = True

    def table(self) -> dict[str, Any]:
        """Return the step as JSON has it."""
        return {"title": self.title, "line": list(self.line), "folder": self.folder, "is_vidtrans": self.is_vidtrans}


class StripJob:
    """A job as it is stored in its folder: ``job.json``, and a folder for each of its processes.

    The processes are started without a shell and detached: they go on when Blender ends.

    Attributes:
        key_file: The file with the key of this user's seals; without one, jobs of other processes are not started.
    """

    key_file: Path | None = None
    _own_key = secrets.token_bytes(NUM_BYTES)
    _processes: dict[Path, subprocess.Popen[bytes]] = {}  # noqa: RUF012  (those that this Blender started)

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        self.folder, self.record = folder, record
        self.steps = [
            Step(one["title"], tuple(one["line"]), one["folder"], one["is_vidtrans"]) for one in record["steps"]
        ]

    @classmethod
    def create(
        cls, folder: Path, title: str, steps: Sequence[Step], target: Mapping[str, Any], output: Path
    ) -> StripJob:
        """Store a new job.

        Args:
            folder: Its folder.
            title: Its name in the panel.
            steps: Its processes.
            target: What the result is inserted for; see ``strip_results.py``.
            output: The file or folder of the result.

        Raises:
            UserError: The folder cannot be written.
        """
        record = {"format": FORMAT, "title": title, "steps": [one.table() for one in steps], "target": dict(target)}
        record |= {"output": str(output), "inserted": False, "cancelled": False, "message": "", "starts": 0}
        record["seal"] = seal_of(cls._key(), record["steps"])
        job = cls(folder, record)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            job.store()
        except OSError as error:
            raise UserError(f"{folder}: it cannot be written ({error.strerror}) — choose another folder") from error
        return job

    @classmethod
    def read(cls, folder: Path) -> StripJob | None:
        """Return the job of a folder; None if there is none that this version can read."""
        record = read_table(folder / "job.json")
        try:
            is_whole = record.get("format") == FORMAT and record.keys() >= KEYS and isinstance(record["target"], dict)
            return cls(folder, record) if is_whole else None
        except (KeyError, TypeError):
            return None

    @classmethod
    def _key(cls) -> bytes:
        return (read_key(cls.key_file) if cls.key_file else None) or cls._own_key

    @property
    def number(self) -> int:
        """Return the number of the job."""
        return int(self.folder.name)

    @property
    def may_restart(self) -> bool:
        """Return whether to start the job again without being asked, if its process was killed."""
        return bool(self.record["starts"] < MOST_STARTS)

    @property
    def output(self) -> Path:
        """Return the file or folder of the result."""
        return Path(self.record["output"])

    def store(self) -> None:
        """Write the record. Raises OSError."""
        write_table(self.folder / "job.json", self.record)

    def change(self, **values: Any) -> None:  # noqa: ANN401  (as JSON has it)
        """Change the record, and store it. Raises OSError."""
        self.record |= values
        self.store()

    def files(self, at: int) -> StepFiles:
        """Return the files of a process."""
        return StepFiles(self.folder / f"step{at + 1}")

    def current(self) -> int:
        """Return the number of the process that is not done, from 0; that of the steps if all are."""
        return next((at for at in range(len(self.steps)) if self.files(at).exit_status() != 0), len(self.steps))

    def state(self) -> JobState:
        """Return the state, by the files."""
        if self.record["inserted"]:
            return JobState.INSERTED
        at = self.current()
        if at == len(self.steps):
            return JobState.READY
        files = self.files(at)
        if self._is_alive(files):
            return JobState.RUNNING
        status = files.exit_status()  # after the process: it may just have ended
        if status == 0:
            return self.state()
        if self.record["cancelled"]:
            return JobState.CANCELLED
        if status in STOPPED:
            return JobState.INTERRUPTED
        if status is not None:
            return JobState.FAILED
        return JobState.INTERRUPTED if (files.path / "started").exists() else JobState.WAITING

    def _is_alive(self, files: StepFiles) -> bool:
        process = self._processes.get(files.path)
        if process is not None and process.poll() is None:
            return True
        return files.is_locked()

    def message(self) -> str:
        """Return why the job failed."""
        if text := self.record["message"]:
            return str(text)
        at = self.current()
        return self.files(at).error() if at < len(self.steps) else ""

    def start(self) -> None:
        """Start the process that is next, or again: it goes on from what was saved.

        Raises:
            UserError: It cannot be started, or its command lines were not stored by this user's Blender.
        """
        if not is_sealed(self._key(), [one.table() for one in self.steps], self.record.get("seal")):
            raise UserError(f"{self.folder}: this job is not one that you have started here — style the strip again")
        at = self.current()
        step, files = self.steps[at], self.files(at)
        line = step.line
        if step.is_vidtrans:  # behind the name of the command
            line = (*line[:2], f"--job-folder={files.path}", *line[2:])
        try:
            files.path.mkdir(parents=True, exist_ok=True)
            Path(step.folder).mkdir(parents=True, exist_ok=True)
            files.clear()
            (files.path / "started").touch()
            self.change(cancelled=False, message="", starts=self.record["starts"] + 1)
            with files.log.open("ab") as log:
                self._processes[files.path] = subprocess.Popen(
                    line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=step.folder, **detached()
                )
        except OSError as error:
            why = error.strerror or str(error)
            raise UserError(f"{line[0]}: it cannot be started ({why}) — see the preferences of the add-on") from error

    def cancel(self) -> None:
        """Ask the process to save and end. Raises OSError."""
        self.change(cancelled=True)
        at = self.current()
        if at < len(self.steps):
            files = self.files(at)
            files.path.mkdir(parents=True, exist_ok=True)
            files.stop.touch()

    def progress(self) -> tuple[float, str]:
        """Return the done share of all processes, 0 to 1, and a line about the one that runs."""
        at = self.current()
        if at == len(self.steps):
            return 1.0, "done"
        table = self.files(at).progress()
        done, total = table.get("done") or 0, table.get("total") or 0
        share = min(1.0, done / total) if total else 0.0
        text = str(table.get("task") or self.steps[at].title)
        text += f", {done} of {total} {table.get('unit') or ''}".rstrip() if total else ""
        left = table.get("left_s")
        text += f", {time_left(left)} left" if isinstance(left, int | float) else ""
        return (at + share) / len(self.steps), text


def time_left(seconds: float) -> str:
    """Return seconds as minutes and seconds, with hours where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def detached() -> dict[str, Any]:
    """Return the arguments of Popen by which a process outlives Blender, and hears none of its signals."""
    if os.name == "nt":
        flags = hidden_window()["creationflags"] | subprocess.CREATE_NEW_PROCESS_GROUP
        return {"creationflags": flags}
    return {"start_new_session": True}


def jobs_in(folder: Path) -> list[StripJob]:
    """Return the jobs of a work folder, by their numbers."""
    if not folder.is_dir():
        return []
    found = sorted((path for path in folder.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
    return [job for path in found if (job := StripJob.read(path))]
