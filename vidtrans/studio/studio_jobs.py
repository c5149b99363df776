"""The jobs of the studio, and their queue: which processes are started, paused, resumed and cancelled, in which order.

A job is one command line, in a folder of its own that outlives the server and the page. The server writes ``job.json``;
the process of the command writes the files of ``core/job_folder.py``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path, PurePosixPath

from vidtrans.core.errors import UsageError
from vidtrans.core.files import read_small_file, write_json
from vidtrans.core.job_folder import JobFolder
from vidtrans.core.settings import Table
from vidtrans.core.system import WINDOWS, command_line, module_command
from vidtrans.core.text_files import parse_table
from vidtrans.studio.wishes import WishStep

MOST_LOG_BYTES = 1 << 16  # of the log's end that a page gets
STOPPED = (130, 143)  # exit statuses of a command that was asked to stop
COMMANDS = ("train", "look")  # those with --as-is
FOLDER_SUFFIX = ".train"  # ends the name of the folder of a model's previews
LENGTHS = ("steps", "minutes", "as_is", "fresh")  # options that say how long a run is, and where it begins
COMMAND = module_command("vidtrans.cli.main")
MOST_STARTS = 4  # of a process that ends without a word, as when the system kills it for its memory
LONGEST_START_S = 20.0  # in which a process takes its lock
NUMBERED = re.compile(r"[0-9]{6}|[1-9][0-9]{6,8}")  # the name of a job's folder
Line = Callable[[str, Mapping[str, object]], list[str]]
Start = Callable[[Path, Path], None]


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


def training_table(job: StudioJob, state: JobState, progress: Table, outcome: Table) -> Table:
    """Return what a page receives of a job that trains.

    ``training``: the name of the folder of its previews, '' if it is not known yet; ``as_is``: whether it takes the
    model of an interrupted run; ``can_take``: whether it could; ``can_train_on``: whether its run can go on.
    """
    is_training = job.command in COMMANDS
    as_is = is_training and bool(job.values.get("as_is"))
    return {
        "training": _folder_of(outcome.get("report")) or _folder_of(progress.get("preview")) or _beside(job),
        "as_is": as_is,
        "can_take": is_training and not as_is and state is not JobState.DONE and has_learned(progress),
        "can_train_on": as_is and (state is JobState.FAILED or (state is JobState.DONE and "of_steps" in outcome)),
    }


def has_learned(progress: Table) -> bool:
    """Return whether a job has reported steps of a training."""
    return progress.get("task") == "training" and bool(progress.get("done"))


def _folder_of(name: object) -> str:
    """Return the folder of a file that a training wrote; '' for other files."""
    folder = PurePosixPath(name).parent if isinstance(name, str) else PurePosixPath()
    return str(folder) if folder.name.endswith(FOLDER_SUFFIX) else ""


def _beside(job: StudioJob) -> str:
    """Return the folder beside the model that a training is asked for; '' if the job names none."""
    output = job.values.get("output")
    is_model = job.command in COMMANDS and isinstance(output, str) and output.endswith(".safetensors")
    return str(PurePosixPath(str(output)).with_suffix(FOLDER_SUFFIX)) if is_model else ""


def train_on(job: StudioJob) -> WishStep:
    """Return the command that continues the run of a model that was taken as it is. Raises UsageError."""
    if not job.values.get("as_is"):
        raise UsageError(job.title, "it is no model of an interrupted run", "choose another job")
    return WishStep(job.command, {k: v for k, v in job.values.items() if k != "as_is"}, job.title)


def train_longer(job: StudioJob, outcome: Table) -> WishStep:
    """Return the command that continues a finished run for as many steps again. Raises UsageError."""
    steps = outcome.get("steps")
    if job.command not in COMMANDS or not isinstance(steps, int) or isinstance(steps, bool) or "of_steps" in outcome:
        raise UsageError(job.title, "it is no finished training", "choose another job")
    values = {k: v for k, v in job.values.items() if k not in LENGTHS}
    return WishStep(job.command, values | {"steps": 2 * steps}, f"{job.title}, longer")


ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


def start_process(job: Path, root: Path) -> None:
    """Start the process of a job folder in the project's folder. It lives on when this process ends."""
    words = StudioJobFolder(job).read().words
    detached = {"creationflags": 0x00000208} if WINDOWS else {"start_new_session": True}  # a new group, no console
    with (job / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [*COMMAND, *words, "--job-folder", str(job)],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=log,  # until the process has its lock
            stderr=log,
            env={name: value for name, value in os.environ.items() if name != "PYTHONSTARTUP"},
            **detached,
        )
    # The system keeps an ended process until somebody has asked for it.
    threading.Thread(target=process.wait, daemon=True, name=f"job {job.name}").start()


class JobQueue:
    """The jobs in a folder.

    ``at_once``: how many run side by side. ``line``: returns the words of a command, and raises UsageError for what a
    page may not ask for: a folder that somebody sent may hold jobs that no page has made. ``start``: starts a
    process.
    """

    def __init__(self, folder: Path, root: Path, at_once: int, line: Line, start: Start = start_process) -> None:
        self.folder, self.root, self.at_once, self._line, self._start = folder, root, at_once, line, start
        self._lock = threading.Lock()
        self._started: dict[int, float] = {}  # processes that may not hold their lock yet
        self._final: dict[int, Table] = {}  # jobs that have ended, as they do not change

    def add(self, jobs: Sequence[StudioJob]) -> list[int]:
        """Add jobs, and return their numbers. ``after`` counts from the first of them. Raises OSError."""
        with self._lock:
            first = max((job.number for job in self._folders()), default=0) + 1
            for offset, job in enumerate(jobs):
                job.after, job.created = [first + n for n in job.after], time.time()
                StudioJobFolder(self.folder / f"{first + offset:06d}").write(job)
            return list(range(first, first + len(jobs)))

    def act(self, number: int, action: str) -> None:
        """Pause, resume, cancel, kill or remove a job, or take its model as it is. Raises UsageError, OSError."""
        with self._lock:
            folder, job, state = self._find(number)
            self._final.pop(number, None)
            if action == "pause" and state in (JobState.QUEUED, JobState.RUNNING):
                self._want(folder, job, Wanted.PAUSE)
            elif action == "cancel" and state not in ENDED:
                self._want(folder, job, Wanted.CANCEL)
            elif action == "resume" and state not in (JobState.DONE, JobState.RUNNING):
                folder.clear_end()
                job.starts = 0
                self._want(folder, job, Wanted.RUN)
            elif action == "enough" and state is not JobState.DONE:
                self._take_as_is(folder, job, state)
            elif action == "kill" and state is JobState.RUNNING and job.wanted is not Wanted.RUN:
                folder.kill()
            elif action == "remove" and state in ENDED:
                if state is not JobState.DONE and (waiting := self._waiting_for(number)):
                    raise UsageError(f"job {number}", f"'{waiting}' waits for it", "cancel that first")
                folder.remove()
            else:
                raise UsageError(f"job {number}", f"it is {state}", f"it cannot be changed by '{action}' now")

    def _waiting_for(self, number: int) -> str:
        """Return the title of a job that waits for another one; '' if there is none."""
        for folder in self._folders():
            if (table := self._known(folder)) and number in table["after"] and table["state"] not in ENDED:
                return str(table["title"])
        return ""

    def _want(self, folder: StudioJobFolder, job: StudioJob, wanted: Wanted) -> None:
        job.wanted = wanted
        folder.write(job)
        if wanted is not Wanted.RUN:
            folder.request_stop()

    def _take_as_is(self, folder: StudioJobFolder, job: StudioJob, state: JobState) -> None:
        """Stop a training, if it runs, and let the job deliver the model as it is. Raises UsageError, OSError."""
        if job.values.get("as_is") or not has_learned(folder.progress()):
            raise UsageError(job.title, "it is no training that has taken a step", "wait, or choose another job")
        values = job.values | {"as_is": True}
        job.words, job.values = self._line(job.command, values), values
        job.starts, job.wanted = 0, Wanted.RUN
        if state is JobState.RUNNING:  # it ends as a pause does, and is started again with the new line
            folder.request_stop()
        folder.write(job)  # a server that ends before this has asked for nothing; one that ends after it, for all
        if state is not JobState.RUNNING:
            folder.clear_end()

    def step(self) -> list[Table]:
        """Start what is due, and return all jobs as a page receives them, newest first."""
        with self._lock:
            found = {folder.number: each for folder in self._folders() if (each := self._known(folder)) is not None}
            states = {number: JobState(str(table["state"])) for number, table in found.items()}
            free = self.at_once - sum(state is JobState.RUNNING for state in states.values())
            for number in sorted(found):
                if states[number] is JobState.QUEUED:
                    try:
                        free -= self._start_if_due(number, found[number], states, free)
                    except OSError as error:  # such as a full disk; the other jobs go on
                        found[number]["waits"] = f"it cannot be started: {error.strerror}"
            for table in found.values():
                if (waits := table.get("waits_for")) is not None:
                    table["waits"] = table["waits"].format(found[waits]["title"] if waits in found else waits)
            return [found[number] for number in sorted(found, reverse=True)]

    def _start_if_due(self, number: int, table: Table, states: dict[int, JobState], free: int) -> int:
        """Start a queued job if it is its turn; change its table, and return the number of started processes."""
        before = {one: states.get(one, JobState.DONE) for one in table["after"]}
        if failed := [one for one, state in before.items() if state in (JobState.FAILED, JobState.CANCELLED)]:
            table["waits"], table["waits_for"] = "'{}' comes first, and has not succeeded", failed[0]
        elif waits := [one for one, state in before.items() if state is not JobState.DONE]:
            table["waits"], table["waits_for"] = "'{}' comes first", waits[0]
        elif free > 0:
            folder = StudioJobFolder(self.folder / f"{number:06d}")
            job = folder.read()
            if job.starts >= MOST_STARTS:
                folder.refuse(
                    f"its process ended {MOST_STARTS} times without a result; memory may be full", time.time()
                )
                return 0
            if (fault := self._fault(job)) is not None:
                folder.refuse(fault, time.time())
                return 0
            job.starts += 1
            folder.write(job)
            folder.clear_end()
            self._start(folder.path, self.root)
            self._started[number] = time.monotonic()
            table["state"] = states[number] = JobState.RUNNING
            return 1
        return 0

    def _fault(self, job: StudioJob) -> str | None:
        """Return why a job is not started, if a page may not ask for its line."""
        try:
            if self._line(job.command, job.values) == job.words:
                return None
        except UsageError as error:
            return str(error)
        return "its line is not that of its options, so that no page has asked for it"

    def _known(self, folder: StudioJobFolder) -> Table | None:
        """Return a job's table; None where its files cannot be read."""
        if folder.number in self._final:
            return self._final[folder.number]
        try:
            job = folder.read()
        except (OSError, ValueError, TypeError, KeyError):
            return None
        state = self._state(folder, job)
        table = folder.table(job, state)
        table |= training_table(job, state, table["progress"], table["outcome"])
        if state in ENDED:
            self._final[folder.number] = table
        return table

    def _state(self, folder: StudioJobFolder, job: StudioJob) -> JobState:
        """Return the state of a job. A process that was just started counts as running before it has its lock."""
        began = self._started.get(folder.number)
        if began is None:
            return folder.state(job)
        if folder.end() is None and not folder.is_running() and time.monotonic() - began < LONGEST_START_S:
            return JobState.RUNNING
        del self._started[folder.number]
        return folder.state(job)

    def _find(self, number: int) -> tuple[StudioJobFolder, StudioJob, JobState]:
        folder = StudioJobFolder(self.folder / f"{number:06d}")
        with suppress(OSError, ValueError, TypeError, KeyError):
            job = folder.read()
            return folder, job, self._state(folder, job)
        raise UsageError(f"job {number}", "there is no such job", "see the queue")

    def stored(self, number: int) -> tuple[StudioJob, Table]:
        """Return a job as it is stored, and its outcome. Raises UsageError."""
        folder, job, _ = self._find(number)
        return job, folder.outcome()

    def log(self, number: int) -> str:
        """Return the end of a job's log. Raises UsageError."""
        return self._find(number)[0].log_end()

    def _folders(self) -> list[StudioJobFolder]:
        with suppress(OSError):
            return [
                StudioJobFolder(path)
                for path in self.folder.iterdir()
                if NUMBERED.fullmatch(path.name) and path.is_dir()
            ]
        return []
