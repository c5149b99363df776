"""Executors, which run a batch's tasks in this process, in other processes, or on other machines.

An executor is a class with the interface ``Executor``. Tasks, arguments and results are picklable, and an executor
shares with its workers only the files that a task names and the cache folder.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from vidtrans.core.errors import Interrupted, UsageError, describe_error
from vidtrans.core.events import Report
from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import Table
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.rendering.parts import Division

LOCAL = "local"  # Name of the executor that "auto" chooses for several clips or devices
AUTO = "auto"  # Default of --executor: inline for one clip on one device, otherwise local
# Attributes of a ``Context`` that all processes of a batch share
SHARED_OPTIONS = (
    "cache_dir",
    "seed",
    "overwrite",
    "dry_run",
    "allow_damaged",
    "decode_threads",
    "decoder",
    "cache_limit_gb",
)


@dataclass(frozen=True, eq=False)
class Task:
    """A task of a batch: a call of the function ``work`` with a context, for the item with index ``number``. Picklable.

    ``kind``: render the whole item, decide how to divide it, or render one ``part``, the chunks [first, stop), of its
    ``division``. ``num_lost_workers``: the number of lost workers that this task may have caused.
    """

    number: int
    kind: Literal["whole", "divide", "part"]
    work: Callable[[Context], Table | Division | None]
    num_lost_workers: int = 0
    part: tuple[int, int] = (0, 0)
    division: Division | None = None


@dataclass(frozen=True)
class TaskResult:
    """The outcome of a task: done, stopped, failed, or lost with its worker process. Picklable.

    ``state``: "done" with the ``value`` that its work returned; "stopped" on request, all saved; "failed" with an
    ``error`` message and its ``exit_status``, and the ``traceback`` of a bug; "lost" together with its worker:
    ``error`` then describes the worker's end, and ``is_blameless`` means that the task cannot be the cause.
    ``disk_full``: all later tasks would fail, too.
    """

    state: Literal["done", "stopped", "failed", "lost"]
    value: Table | Division | None = None
    error: str = ""
    exit_status: int = 0
    traceback: str = ""
    disk_full: bool = False
    is_blameless: bool = False


class Executor(Protocol):
    """Interface of executors, which run up to ``slots`` tasks in parallel, one task per process.

    ``takes_address``: whether --executor may give an address. Constructed from the tasks' shared context, the value of
    ``--jobs`` (None: one per device), and the address in ``--executor NAME://ADDRESS``. Its methods are called from one
    thread. Raises UsageError; VidtransError if it cannot run anything.
    """

    takes_address: ClassVar[bool]
    slots: int

    def __init__(self, context: Context, jobs: int | None, address: str) -> None: ...

    def submit(self, task: Task, report: Report) -> None:
        """Start a task. Call it only while fewer than ``slots`` tasks run.

        ``report``: a thread-safe callback that gets the task's events.
        """

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Wait until a task ends; return the task and its result, or None if no task ends within ``timeout_s`` seconds.

        The executor ``inline`` runs its submitted task during this call, without a time limit.
        """

    def stop(self, exit_status: int) -> None:
        """Ask all running tasks to save their work and end. ``exit_status``: the exit status of the stopped command.

        ``receive`` then returns each of these tasks, with the state "stopped" if it is unfinished.
        """

    def close(self) -> None:
        """Abort running tasks, and release all resources. The items of aborted tasks stay unfinished in the cache."""


# Registry of executors: values of --executor
EXECUTORS = Registry(
    "executor",
    {
        "inline": Entry("vidtrans.batch.executors:InlineExecutor", "this process, one task at a time"),
        "local": Entry("vidtrans.batch.executors.local:LocalExecutor", "worker processes, one for each device"),
        "ray": Entry(
            "vidtrans.batch.executors.ray:RayExecutor",
            "a Ray cluster, or the one at ray://HOST:PORT",
        ),
    },
    group="executors",
)


def parse_executor(text: str) -> tuple[str, str]:
    """Split the value of --executor, ``NAME[://ADDRESS]``, into name and address.

    Raises UsageError for an unknown name, or if that executor takes no address.
    """
    name, _, address = text.partition("://")
    if address and not EXECUTORS.load(name).takes_address:
        raise UsageError(f"--executor {text}", f"'{name}' takes no address", f"write --executor {name}")
    EXECUTORS[name]
    return name, address


def make_executor(text: str, context: Context, jobs: int | None) -> Executor:
    """Return the executor for the values of --executor (``text``) and --jobs. Close it after use. Raises UsageError."""
    name, address = parse_executor(LOCAL if text == AUTO else text)
    executor: Executor = EXECUTORS.load(name)(context, jobs, address)
    return executor


def run_task(task: Task, context: Context) -> TaskResult:
    """Run a task; return its result, which also describes any error that the task raised.

    Only KeyboardInterrupt and other BaseExceptions are raised.
    """
    try:
        context.stop.check()
        return TaskResult("done", task.work(context))
    except Interrupted:
        return TaskResult("stopped")
    except Exception as error:
        description = describe_error(error)
        if description is None:
            message = f"a bug in vidtrans: {type(error).__name__}: {error}"
            return TaskResult("failed", error=message, exit_status=1, traceback=traceback.format_exc().rstrip())
        message, exit_status = description
        return TaskResult("failed", error=message, exit_status=exit_status, disk_full=is_disk_full(error))
    finally:
        context.cache.save_digests()


def is_disk_full(error: Exception) -> bool:
    """Return whether an error means that the disk, or the user's quota of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def shared_options(context: Context) -> Table:
    """Return the fields of a context for another process: all except device, report and stop. Picklable."""
    return {name: getattr(context, name) for name in SHARED_OPTIONS}


class InlineExecutor:
    """An executor that runs each task in this process, during ``receive``. A crash ends the batch.

    It is for debugging, and for tasks that are shorter than the start of a process.
    """

    takes_address: ClassVar[bool] = False
    slots = 1

    def __init__(self, context: Context, jobs: int | None, address: str) -> None:
        self._context = context
        self._submitted: list[tuple[Task, Report]] = []

    def submit(self, task: Task, report: Report) -> None:
        """Store the task; ``receive`` runs it."""
        self._submitted.append((task, report))

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Run the submitted task, and return it with its result; None if no task was submitted."""
        if not self._submitted:
            return None
        task, report = self._submitted.pop()
        return task, run_task(task, replace(self._context, report=report))

    def stop(self, exit_status: int) -> None:
        """Do nothing: the task checks the same stop request as the batch."""

    def close(self) -> None:
        """Do nothing: this executor owns no processes or files."""
