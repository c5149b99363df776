"""Executors, which run a batch's tasks in this process, in other processes, or on other machines.

An executor is a class with the interface ``Executor``. Tasks, arguments and results are picklable, and an executor
shares with its workers only the files that a task names and the cache folder.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from vidtrans.core.errors import Interrupted, UsageError, describe_error
from vidtrans.core.events import Report
from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import Table
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.rendering.parts import Division

LOCAL = "local"
AUTO = "auto"  # inline for one clip on one device; otherwise local
SHARED = ("cache_dir", "seed", "overwrite", "dry_run", "allow_damaged", "decode_threads", "decoder", "cache_limit_gb")


@dataclass(frozen=True, eq=False)
class Task:
    """Work on the item ``number`` of a batch; ``work`` is called with a context.

    ``kind``: the whole item, the decision how to divide it, or one ``part``, the chunks [first, stop), of its
    ``division``. ``tries``: the number of lost workers that this task may have caused. Picklable.
    """

    number: int
    kind: Literal["whole", "divide", "part"]
    work: Callable[[Context], Table | Division | None]
    tries: int = 0
    part: tuple[int, int] = (0, 0)
    division: Division | None = None


@dataclass(frozen=True)
class TaskResult:
    """The outcome of a task. Picklable.

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
    """A runner of up to ``slots`` tasks at a time, each alone in its process.

    Constructed from the tasks' shared context, the value of ``--jobs`` (None: as many as make sense), and the address
    in ``--executor NAME://ADDRESS``. Its methods are called from one thread. Raises UsageError; VidtransError if it
    cannot run anything. ``ahead``: the number of slots that divide and join items on this machine; if it is not 0,
    every item is divided, even into a single part.
    """

    takes_address: ClassVar[bool]
    ahead: ClassVar[int]
    slots: int

    def __init__(self, context: Context, jobs: int | None, address: str) -> None: ...

    def submit(self, task: Task, report: Report) -> None:
        """Start a task; call it only while fewer than ``slots`` run. ``report``, thread-safe, receives its events."""

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Return an ended task and its result; None if none ends in ``timeout_s`` (``inline`` runs its task)."""

    def stop(self, exit_status: int) -> None:
        """Ask all running tasks to save and end; ``receive`` then returns each, as "stopped" unless it was done."""

    def close(self) -> None:
        """Release everything, and end running tasks. Their items stay unfinished in the cache."""


@dataclass(frozen=True)
class ExecutorEntry(Entry):
    """An executor's registry entry. ``unshared``: the class for machines without a shared disk, '' if none."""

    unshared: str = ""


EXECUTORS = Registry(
    "executor",
    {
        "inline": ExecutorEntry("vidtrans.batch.executors.inline:InlineExecutor", "this process, one task at a time"),
        "local": ExecutorEntry("vidtrans.batch.executors.local:LocalExecutor", "worker processes, one on each device"),
        "ray": ExecutorEntry(
            "vidtrans.batch.executors.ray:RayExecutor",
            "a Ray cluster, or ray://HOST:PORT",
            unshared="vidtrans.batch.executors.ray_unshared:UnsharedRayExecutor",
        ),
    },
    group="executors",
)


def parse_executor(text: str) -> tuple[str, str]:
    """Split ``NAME[://ADDRESS]``. Raises UsageError on an unknown name, or if that executor takes no address."""
    name, _, address = text.partition("://")
    if address and not EXECUTORS.load(name).takes_address:
        raise UsageError(f"--executor {text}", f"'{name}' takes no address", f"write --executor {name}")
    EXECUTORS[name]
    return name, address


def check_apart(text: str) -> None:
    """Raise UsageError if the executor of an ``--executor`` value cannot work without a shared disk."""
    name = LOCAL if text == AUTO else parse_executor(text)[0]
    if not EXECUTORS[name].unshared:
        remedy = "choose --executor ray, or leave out --no-shared-disk"
        raise UsageError("--no-shared-disk", f"the executor '{name}' runs on this machine only", remedy)


def make_executor(text: str, context: Context, jobs: int | None, *, shared_disk: bool = True) -> Executor:
    """Return the executor for ``--executor`` and ``--jobs``. Close it after use. Raises UsageError."""
    name, address = parse_executor(LOCAL if text == AUTO else text)
    entry = EXECUTORS[name]
    chosen = entry if shared_disk else Entry(entry.unshared, entry.summary)
    executor: Executor = chosen.load()(context, jobs, address)
    return executor


def run_task(task: Task, context: Context) -> TaskResult:
    """Run a task and turn any error into its result. Only KeyboardInterrupt and other BaseExceptions are raised."""
    try:
        context.stop.check()
        return TaskResult("done", task.work(context))
    except Interrupted:
        return TaskResult("stopped")
    except Exception as error:
        words = describe_error(error)
        if words is None:
            what = f"a bug in vidtrans: {type(error).__name__}: {error}"
            return TaskResult("failed", error=what, exit_status=1, traceback=traceback.format_exc().rstrip())
        return TaskResult("failed", error=words[0], exit_status=words[1], disk_full=is_disk_full(error))
    finally:
        context.cache.save_digests()


def is_disk_full(error: Exception) -> bool:
    """Return whether an error reports a full disk."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def shared_options(context: Context) -> Table:
    """Return the options of a context for another process, except device, report and stop. Picklable."""
    return {name: getattr(context, name) for name in SHARED}
