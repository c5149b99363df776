"""A job of the studio: one command line, in a folder of its own that outlives the server and the page.

The server writes ``job.json``; the process of the command writes the files of ``core/job_folder.py``.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from vidtrans.core.files import read_small_file, write_json
from vidtrans.core.job_folder import JobFolder
from vidtrans.core.settings import Table
from vidtrans.core.system import WINDOWS, command_line
from vidtrans.core.text_files import parse_table

MOST_LOG_BYTES = 1 << 16  # of the log's end that a page gets


class JobState(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Wanted(StrEnum):
    """What the user wants of a job: that it runs, rests, or ends."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


STOPPED = (130, 143)  # exit statuses of a command that was asked to stop
AT_REST = {Wanted.RUN: JobState.QUEUED, Wanted.PAUSE: JobState.PAUSED, Wanted.CANCEL: JobState.CANCELLED}


@dataclass
class StudioJob:
    """A job as it is stored.

    Attributes:
        command, values: The command, and its options by name, from which the line follows.
        words: The command line after ``vidtrans``.
        title: What the page calls it.
        after: Numbers of the jobs that have to be done before.
        starts: How often its process was started.
    """

    command: str
    values: Table
    words: list[str]
    title: str
    after: list[int] = field(default_factory=list)
    wanted: Wanted = Wanted.RUN
    created: float = 0.0
    starts: int = 0

    @classmethod
    def read(cls, path: Path) -> StudioJob:
        """Return the job of a file. Raises OSError, ValueError, TypeError, KeyError."""
        table = parse_table(read_small_file(path))
        job = cls(**{one.name: table[one.name] for one in fields(cls)})
        job.wanted = Wanted(job.wanted)
        is_known = isinstance(job.values, dict) and isinstance(job.command, str) and isinstance(job.title, str)
        if not is_known or not all(isinstance(word, str) for word in job.words):
            raise TypeError("values are no table, or words are no texts")
        if not isinstance(job.created, int | float) or not all(type(n) is int for n in (job.starts, *job.after)):
            raise TypeError("a number is none")
        return job


class StudioJobFolder(JobFolder):
    """The files of one job of the studio."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.number, self.log, self._job = int(path.name), path / "log.txt", path / "job.json"

    def read(self) -> StudioJob:
        """Return the job. Raises OSError, ValueError, TypeError, KeyError."""
        return StudioJob.read(self._job)

    def write(self, job: StudioJob) -> None:
        """Store the job. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self._job, asdict(job))

    def refuse(self, error: str, finished: float) -> None:
        """Store that the job fails before it begins. Raises OSError."""
        write_json(self.result, {"error": error})
        self.finish(2, finished)

    def log_end(self) -> str:
        """Return the last lines of the log."""
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - MOST_LOG_BYTES))
            return file.read().decode("utf-8", "replace")
        return ""

    def remove(self) -> None:
        """Delete the job's files."""
        shutil.rmtree(self.path, ignore_errors=True)

    def state(self, job: StudioJob) -> JobState:
        """Return the state of the job."""
        end = self.end()
        if end is not None and end["exit_status"] not in STOPPED:
            return JobState.DONE if end["exit_status"] == 0 else JobState.FAILED
        if end is None and self.is_running():
            return JobState.RUNNING
        return AT_REST[job.wanted]

    def table(self, job: StudioJob, state: JobState) -> Table:
        """Return the job as a page receives it."""
        outcome = self.outcome() if state in (JobState.DONE, JobState.FAILED) else {}
        for key in ("output", "source", "report") if WINDOWS else ():
            if isinstance(outcome.get(key), str):
                outcome[key] = outcome[key].replace("\\", "/")
        if state is JobState.FAILED and not outcome.get("error"):
            outcome["error"] = "its process ended without a result; memory may be full: see its log"
        return {
            "number": self.number,
            "title": job.title,
            "line": command_line(["vidtrans", *job.words]),
            "after": job.after,
            "state": state,
            "wanted": job.wanted,
            "created": job.created,
            "finished": (self.end() or {}).get("finished"),
            "progress": self.progress(),
            "outcome": outcome,
        }
