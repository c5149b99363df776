"""The studio's job queue: it starts, pauses, resumes and cancels the processes of jobs.

A job is one command line, with its own folder, which outlives the server and the page. The server writes ``job.json``;
the process of the command writes the files of ``core/job_folder.py``.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path, PurePosixPath

from vidtrans.core.child_process import VIDTRANS, start_detached
from vidtrans.core.errors import UsageError
from vidtrans.core.files import read_small_file, write_json
from vidtrans.core.job_folder import JobFolder
from vidtrans.core.settings import Table
from vidtrans.core.system import WINDOWS, command_line
from vidtrans.core.text_files import parse_table
from vidtrans.studio.guided_tasks import CommandStep

MAX_LOG_BYTES = 1 << 16  # Largest part of a log, from its end, that a page receives
STOP_STATUSES = (130, 143)  # Exit statuses of a command that was interrupted (SIGINT) or terminated (SIGTERM)
TRAINING_COMMANDS = ("train", "look")  # Commands that train a model and have the option --as-is
FOLDER_SUFFIX = ".train"  # Suffix of a model's preview folder, which its training writes
# Options that set the length and the start of a training; removed when a training is extended
LENGTH_OPTIONS = ("steps", "minutes", "as_is", "fresh")
MAX_STARTS = 4  # Most starts of a job whose process ends without a result, for example because memory is full
MAX_START_S = 20.0  # Longest time, in s, from the start of a process until it has its lock
# Name of a job folder: the job number with at least 6 digits, such as 000012
JOB_FOLDER_NAME = re.compile(r"[0-9]{6}|[1-9][0-9]{6,8}")
# Function that returns the words of the command line for a command name and its option values
LineBuilder = Callable[[str, Mapping[str, object]], list[str]]
# Function that starts the process of a job; arguments: job folder, project folder
ProcessStarter = Callable[[Path, Path], None]


class JobState(StrEnum):
    """The actual state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DesiredState(StrEnum):
    """The state that the user wants for a job."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


# State of a job whose process is not running, by the state that the user wants
IDLE_STATES = {
    DesiredState.RUN: JobState.QUEUED,
    DesiredState.PAUSE: JobState.PAUSED,
    DesiredState.CANCEL: JobState.CANCELLED,
}
FINAL_STATES = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)  # States of a job that has ended


@dataclass
class StudioJob:
    """A job as it is stored in ``job.json``.

    Attributes:
        command, values: The command, and its options by name, from which the command line follows.
        words: The command line after ``vidtrans``.
        title: Its title on the page.
        after: Numbers of the jobs that must be done before it.
        wanted: The state that the user wants.
        created: The time of its creation, in seconds since 1970.
        starts: The number of times that its process was started.
    """

    command: str
    values: Table
    words: list[str]
    title: str
    after: list[int] = field(default_factory=list)
    wanted: DesiredState = DesiredState.RUN
    created: float = 0.0
    starts: int = 0

    @classmethod
    def read(cls, path: Path) -> StudioJob:
        """Read a job from its file. Raises OSError, ValueError, TypeError, KeyError."""
        table = parse_table(read_small_file(path))
        job = cls(**{one.name: table[one.name] for one in fields(cls)})
        job.wanted = DesiredState(job.wanted)
        is_valid = isinstance(job.values, dict) and isinstance(job.command, str) and isinstance(job.title, str)
        if not is_valid or not all(isinstance(word, str) for word in job.words):
            raise TypeError("values are no table, or words are no texts")
        if not isinstance(job.created, int | float) or not all(type(n) is int for n in (job.starts, *job.after)):
            raise TypeError("a number is none")
        return job


class StudioJobFolder(JobFolder):
    """The folder of one job of the studio, with its files; the name is the job number."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.number, self.log, self._job = int(path.name), path / "log.txt", path / "job.json"

    def read(self) -> StudioJob:
        """Return the stored job. Raises OSError, ValueError, TypeError, KeyError."""
        return StudioJob.read(self._job)

    def write(self, job: StudioJob) -> None:
        """Store the job in ``job.json``. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self._job, asdict(job))

    def refuse(self, error: str, finished: float) -> None:
        """Store that the job failed before its process was started; ``finished``: the time, in s since 1970.

        Raises OSError.
        """
        write_json(self.result, {"error": error})
        self.finish(2, finished)

    def log_end(self) -> str:
        """Return the last ``MAX_LOG_BYTES`` of the log as text; "" without a log."""
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - MAX_LOG_BYTES))
            return file.read().decode("utf-8", "replace")
        return ""

    def remove(self) -> None:
        """Delete the folder with all files of the job."""
        shutil.rmtree(self.path, ignore_errors=True)

    def state(self, job: StudioJob) -> JobState:
        """Return the state of the job, from its result file, its process and the state that the user wants."""
        end = self.end()
        if end is not None and end["exit_status"] not in STOP_STATUSES:
            return JobState.DONE if end["exit_status"] == 0 else JobState.FAILED
        if end is None and self.is_running():
            return JobState.RUNNING
        return IDLE_STATES[job.wanted]

    def table(self, job: StudioJob, state: JobState) -> Table:
        """Return the job for the page, as JSON values."""
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


def training_table(job: StudioJob, state: JobState, progress: Table, outcome: Table) -> Table:
    """Return the additional fields of a training job for the page.

    ``progress``: what the job has reported last. ``outcome``: its result, {} if it has none.

    ``training``: the name of its preview folder, '' if it is not known yet. ``as_is``: whether the job delivers the
    model of an interrupted training. ``can_take``: whether a running or ended job could do so. ``can_train_on``:
    whether the interrupted training can continue.
    """
    is_training = job.command in TRAINING_COMMANDS
    as_is = is_training and bool(job.values.get("as_is"))
    return {
        "training": _preview_folder(outcome.get("report"))
        or _preview_folder(progress.get("preview"))
        or _expected_preview_folder(job),
        "as_is": as_is,
        "can_take": is_training and not as_is and state is not JobState.DONE and has_trained(progress),
        "can_train_on": as_is and (state is JobState.FAILED or (state is JobState.DONE and "of_steps" in outcome)),
    }


def has_trained(progress: Table) -> bool:
    """Return whether a job's last report, ``progress``, counts at least one training step."""
    return progress.get("task") == "training" and bool(progress.get("done"))


def _preview_folder(name: object) -> str:
    """Return the preview folder of a file that a training wrote; "" for other files."""
    folder = PurePosixPath(name).parent if isinstance(name, str) else PurePosixPath()
    return str(folder) if folder.name.endswith(FOLDER_SUFFIX) else ""


def _expected_preview_folder(job: StudioJob) -> str:
    """Return the preview folder next to a training job's output model; '' if the job names no output."""
    output = job.values.get("output")
    is_model = job.command in TRAINING_COMMANDS and isinstance(output, str) and output.endswith(".safetensors")
    return str(PurePosixPath(str(output)).with_suffix(FOLDER_SUFFIX)) if is_model else ""


def continue_training(job: StudioJob) -> CommandStep:
    """Return the command that completes an interrupted training whose model was delivered. Raises UsageError."""
    if not job.values.get("as_is"):
        raise UsageError(job.title, "it is no model of an interrupted run", "choose another job")
    return CommandStep(job.command, {k: v for k, v in job.values.items() if k != "as_is"}, job.title)


def extend_training(job: StudioJob, outcome: Table) -> CommandStep:
    """Return the command that extends a finished training to twice the steps of its ``outcome``. Raises UsageError."""
    steps = outcome.get("steps")
    if (
        job.command not in TRAINING_COMMANDS
        or not isinstance(steps, int)
        or isinstance(steps, bool)
        or "of_steps" in outcome
    ):
        raise UsageError(job.title, "it is no finished training", "choose another job")
    values = {k: v for k, v in job.values.items() if k not in LENGTH_OPTIONS}
    return CommandStep(job.command, values | {"steps": 2 * steps}, f"{job.title}, longer")


def start_process(job: Path, root: Path) -> None:
    """Start the process of a job in the project folder ``root``; the process outlives the server."""
    words = StudioJobFolder(job).read().words
    with (job / "log.txt").open("ab") as log:
        start_detached([*VIDTRANS, *words, "--job-folder", str(job)], root, log)


class JobQueue:
    """The queue of the jobs whose folders are in ``folder``.

    ``root``: the project folder. ``at_once``: the number of concurrent jobs. ``line``: returns the words of a command
    line, and raises UsageError for options that a page may not set, because a project of another person may hold jobs
    that no page has created. ``start``: starts the process of a job.
    """

    def __init__(
        self, folder: Path, root: Path, at_once: int, line: LineBuilder, start: ProcessStarter = start_process
    ) -> None:
        self.folder, self.root, self.at_once, self._line, self._start = folder, root, at_once, line, start
        self._lock = threading.Lock()
        self._start_times_s: dict[int, float] = {}  # Of processes that may not have their lock yet
        self._final_tables: dict[int, Table] = {}  # Tables of ended jobs, which do not change

    def add(self, jobs: Sequence[StudioJob]) -> list[int]:
        """Add jobs to the queue; return their numbers. Raises OSError.

        ``after`` of a job has the positions of earlier jobs in ``jobs``; they are replaced by job numbers.
        """
        with self._lock:
            first = max((job.number for job in self._folders()), default=0) + 1
            for offset, job in enumerate(jobs):
                job.after, job.created = [first + n for n in job.after], time.time()
                StudioJobFolder(self.folder / f"{first + offset:06d}").write(job)
            return list(range(first, first + len(jobs)))

    def act(self, number: int, action: str) -> None:
        """Apply an action to a job: pause, resume, cancel, kill, remove or "enough" (deliver the current model).

        Raises UsageError, OSError.
        """
        with self._lock:
            folder, job, state = self._find(number)
            self._final_tables.pop(number, None)
            if action == "pause" and state in (JobState.QUEUED, JobState.RUNNING):
                self._set_desired(folder, job, DesiredState.PAUSE)
            elif action == "cancel" and state not in FINAL_STATES:
                self._set_desired(folder, job, DesiredState.CANCEL)
            elif action == "resume" and state not in (JobState.DONE, JobState.RUNNING):
                folder.clear_end()
                job.starts = 0
                self._set_desired(folder, job, DesiredState.RUN)
            elif action == "enough" and state is not JobState.DONE:
                self._deliver_as_is(folder, job, state)
            elif action == "kill" and state is JobState.RUNNING and job.wanted is not DesiredState.RUN:
                folder.kill()
            elif action == "remove" and state in FINAL_STATES:
                if state is not JobState.DONE and (waiting := self._waiting_job(number)):
                    raise UsageError(f"job {number}", f"'{waiting}' waits for it", "cancel that first")
                folder.remove()
            else:
                raise UsageError(f"job {number}", f"it is {state}", f"it cannot be changed by '{action}' now")

    def _waiting_job(self, number: int) -> str:
        """Return the title of a job that waits for job ``number``; '' if there is none."""
        for folder in self._folders():
            if (table := self._job_table(folder)) and number in table["after"] and table["state"] not in FINAL_STATES:
                return str(table["title"])
        return ""

    def _set_desired(self, folder: StudioJobFolder, job: StudioJob, wanted: DesiredState) -> None:
        """Store the state that the user wants for a job, and stop its process unless it shall run."""
        job.wanted = wanted
        folder.write(job)
        if wanted is not DesiredState.RUN:
            folder.request_stop()

    def _deliver_as_is(self, folder: StudioJobFolder, job: StudioJob, state: JobState) -> None:
        """Let a training job stop and deliver its current model. Raises UsageError, OSError."""
        if job.values.get("as_is") or not has_trained(folder.progress()):
            raise UsageError(job.title, "it is no training that has taken a step", "wait, or choose another job")
        values = job.values | {"as_is": True}
        job.words, job.values = self._line(job.command, values), values
        job.starts, job.wanted = 0, DesiredState.RUN
        if state is JobState.RUNNING:  # The process stops as for a pause; the queue starts it again with the new line
            folder.request_stop()
        folder.write(job)  # One atomic write, in case the server ends now
        if state is not JobState.RUNNING:
            folder.clear_end()

    def step(self) -> list[Table]:
        """Start the jobs that are due; return all jobs for the page as JSON values, newest first."""
        with self._lock:
            tables = {
                folder.number: each for folder in self._folders() if (each := self._job_table(folder)) is not None
            }
            states = {number: JobState(str(table["state"])) for number, table in tables.items()}
            free = self.at_once - sum(state is JobState.RUNNING for state in states.values())
            for number in sorted(tables):
                if states[number] is JobState.QUEUED:
                    try:
                        free -= self._start_if_due(number, tables[number], states, free)
                    except OSError as error:  # Such as a full disk; other jobs continue
                        tables[number]["waits"] = f"it cannot be started: {error.strerror}"
            for table in tables.values():
                if (blocker := table.get("waits_for")) is not None:
                    table["waits"] = table["waits"].format(tables[blocker]["title"] if blocker in tables else blocker)
            return [tables[number] for number in sorted(tables, reverse=True)]

    def _start_if_due(self, number: int, table: Table, states: dict[int, JobState], free: int) -> int:
        """Start a queued job if it is due; return the number of started processes, 0 or 1.

        ``table``: the fields of the job for the page, which are updated. ``states``: states of all jobs by number.
        ``free``: the number of processes that may be started.
        """
        before = {one: states.get(one, JobState.DONE) for one in table["after"]}
        if failed := [one for one, state in before.items() if state in (JobState.FAILED, JobState.CANCELLED)]:
            table["waits"], table["waits_for"] = "'{}' comes first, and has not succeeded", failed[0]
        elif waits := [one for one, state in before.items() if state is not JobState.DONE]:
            table["waits"], table["waits_for"] = "'{}' comes first", waits[0]
        elif free > 0:
            folder = StudioJobFolder(self.folder / f"{number:06d}")
            job = folder.read()
            if job.starts >= MAX_STARTS:
                folder.refuse(f"its process ended {MAX_STARTS} times without a result; memory may be full", time.time())
                return 0
            if (fault := self._fault(job)) is not None:
                folder.refuse(fault, time.time())
                return 0
            job.starts += 1
            folder.write(job)
            folder.clear_end()
            self._start(folder.path, self.root)
            self._start_times_s[number] = time.monotonic()
            table["state"] = states[number] = JobState.RUNNING
            return 1
        return 0

    def _fault(self, job: StudioJob) -> str | None:
        """Return why a job may not run: forbidden options, or a command line that does not follow from them.

        None: it may run.
        """
        try:
            if self._line(job.command, job.values) == job.words:
                return None
        except UsageError as error:
            return str(error)
        return "its line is not that of its options, so that no page has asked for it"

    def _job_table(self, folder: StudioJobFolder) -> Table | None:
        """Return the fields of a job for the page; None if its files cannot be read."""
        if folder.number in self._final_tables:
            return self._final_tables[folder.number]
        try:
            job = folder.read()
        except (OSError, ValueError, TypeError, KeyError):
            return None
        state = self._state(folder, job)
        table = folder.table(job, state)
        table |= training_table(job, state, table["progress"], table["outcome"])
        if state in FINAL_STATES:
            self._final_tables[folder.number] = table
        return table

    def _state(self, folder: StudioJobFolder, job: StudioJob) -> JobState:
        """Return the state of a job; a process counts as running from its start, even before it has its lock."""
        began = self._start_times_s.get(folder.number)
        if began is None:
            return folder.state(job)
        if folder.end() is None and not folder.is_running() and time.monotonic() - began < MAX_START_S:
            return JobState.RUNNING
        del self._start_times_s[folder.number]
        return folder.state(job)

    def _find(self, number: int) -> tuple[StudioJobFolder, StudioJob, JobState]:
        """Return the folder, the stored form and the state of job ``number``. Raises UsageError if there is none."""
        folder = StudioJobFolder(self.folder / f"{number:06d}")
        with suppress(OSError, ValueError, TypeError, KeyError):
            job = folder.read()
            return folder, job, self._state(folder, job)
        raise UsageError(f"job {number}", "there is no such job", "see the queue")

    def stored(self, number: int) -> tuple[StudioJob, Table]:
        """Return the stored form and the outcome of job ``number``. Raises UsageError."""
        folder, job, _ = self._find(number)
        return job, folder.outcome()

    def log(self, number: int) -> str:
        """Return the end of the log of job ``number``. Raises UsageError."""
        return self._find(number)[0].log_end()

    def _folders(self) -> list[StudioJobFolder]:
        """Return the folders of all jobs."""
        with suppress(OSError):
            return [
                StudioJobFolder(path)
                for path in self.folder.iterdir()
                if JOB_FOLDER_NAME.fullmatch(path.name) and path.is_dir()
            ]
        return []
