"""Jobs: one or two processes after each other, in a folder that outlives Blender.

A job is started only if this add-on, under this user's account, stored its command lines: it lies beside the .blend,
perhaps in a folder that somebody else has packed. Without the seal of a job, opening a file would start whatever
programs a ``job.json`` names.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from . import UserError
from .job_files import STOPPED, StepFiles, read_table, write_table
from .programs import HIDDEN_WINDOW

FORMAT = 1
MOST_STARTS = 3  # after which a job that ends without a word waits for Resume: it may fill the memory each time
KEYS = {"title", "steps", "target", "output", "inserted", "cancelled", "message", "starts"}
KEY_BYTES = 32


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


def job_folders(jobs: Path) -> list[Path]:
    """Return the folders of jobs, in the order of their numbers, which are their names."""
    found = [path for path in jobs.iterdir() if path.name.isdecimal()] if jobs.is_dir() else []
    return sorted(found, key=lambda path: int(path.name))


def jobs_in(jobs: Path) -> list[StripJob]:
    return [job for path in job_folders(jobs) if (job := StripJob.read(path))]


def read_key(path: Path) -> bytes | None:
    """Return the secret key of a file, which is created if it is missing; None if it cannot be read or created."""
    with suppress(OSError):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
            with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
            part.replace(path)
        key = path.read_bytes()
        return key if len(key) == KEY_BYTES else None
    return None


class StripJob:
    """A job as it is stored in its folder: ``job.json``, and a folder for each of its processes.

    The processes are started without a shell and detached: they go on when Blender ends.
    """

    key_file: Path | None = None  # of this user's seals; without one, jobs of other processes are not started
    _own_key = secrets.token_bytes(KEY_BYTES)
    _processes: dict[Path, subprocess.Popen[bytes]] = {}  # noqa: RUF012  (those that this Blender started)

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        self.folder, self.record = folder, record
        self.steps = [Step(**{**one, "line": tuple(one["line"])}) for one in record["steps"]]

    @classmethod
    def create(cls, folder: Path, title: str, steps: list[Step], target: dict[str, Any], output: Path) -> StripJob:
        """Store a new job, with a title for the panel, and a target for ``strip_results.py``. Raises UserError."""
        record = {"format": FORMAT, "title": title, "steps": [asdict(one) for one in steps], "target": target}
        record |= {"output": str(output), "inserted": False, "cancelled": False, "message": "", "starts": 0}
        job = cls(folder, record)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            job.change(seal=job._seal())
        except OSError as error:
            raise UserError(f"{folder}: it cannot be written ({error.strerror}) — choose another folder") from error
        return job

    @classmethod
    def read(cls, folder: Path) -> StripJob | None:
        record = read_table(folder / "job.json")
        try:
            is_whole = record.get("format") == FORMAT and record.keys() >= KEYS and isinstance(record["target"], dict)
            return cls(folder, record) if is_whole else None
        except (KeyError, TypeError):
            return None

    def _seal(self) -> str:
        key = (read_key(self.key_file) if self.key_file else None) or self._own_key
        text = json.dumps([asdict(one) for one in self.steps], sort_keys=True)
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    @property
    def number(self) -> int:
        return int(self.folder.name)

    @property
    def output(self) -> Path:
        return Path(self.record["output"])

    def change(self, **values: Any) -> None:
        self.record |= values
        write_table(self.folder / "job.json", self.record)

    def files(self, at: int) -> StepFiles:
        return StepFiles(self.folder / f"step{at + 1}")

    def current(self) -> int:
        """Return the number of the process that is not done, from 0; that of the steps if all are."""
        return next((at for at in range(len(self.steps)) if self.files(at).exit_status() != 0), len(self.steps))

    def state(self) -> JobState:
        if self.record["inserted"]:
            return JobState.INSERTED
        at = self.current()
        if at == len(self.steps):
            return JobState.READY
        files = self.files(at)
        process = self._processes.get(files.path)
        if (process is not None and process.poll() is None) or files.is_locked():
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

    def message(self) -> str:
        if text := self.record["message"]:
            return str(text)
        at = self.current()
        return self.files(at).error() if at < len(self.steps) else ""

    def start(self) -> None:
        """Start the next process of the job, or continue a stopped one from the saved chunks. Raises UserError."""
        seal = self.record.get("seal")
        if not isinstance(seal, str) or not hmac.compare_digest(self._seal().encode(), seal.encode("utf-8", "replace")):
            raise UserError(f"{self.folder}: this job is not one that you have started here — style the strip again")
        at = self.current()
        step, files = self.steps[at], self.files(at)
        line = step.line
        if step.is_vidtrans:  # behind the name of the command
            line = (*line[:2], f"--job-folder={files.path}", *line[2:])
        detached: dict[str, Any] = {"start_new_session": True}  # it outlives Blender, and hears none of its signals
        if os.name == "nt":
            detached = {"creationflags": HIDDEN_WINDOW["creationflags"] | subprocess.CREATE_NEW_PROCESS_GROUP}
        try:
            files.path.mkdir(parents=True, exist_ok=True)
            Path(step.folder).mkdir(parents=True, exist_ok=True)
            files.clear()
            (files.path / "started").touch()
            self.change(cancelled=False, message="", starts=self.record["starts"] + 1)
            with files.log.open("ab") as log:
                self._processes[files.path] = subprocess.Popen(
                    line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=step.folder, **detached
                )
        except OSError as error:
            why = error.strerror or str(error)
            raise UserError(f"{line[0]}: it cannot be started ({why}) — see the preferences of the add-on") from error

    def cancel(self) -> None:
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
        done, total, left = table.get("done") or 0, table.get("total") or 0, table.get("left_s")
        text = str(table.get("task") or self.steps[at].title)
        text += f", {done} of {total} {table.get('unit') or ''}".rstrip() if total else ""
        if isinstance(left, int | float):
            minutes, seconds = divmod(round(left), 60)
            clock = f"{minutes // 60}:{minutes % 60:02d}" if minutes >= 60 else f"{minutes}"
            text += f", {clock}:{seconds:02d} left"
        return (at + (min(1.0, done / total) if total else 0.0)) / len(self.steps), text
