"""The interface of executors: tasks and their results."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from vidtrans.core.errors import Interrupted, describe_error
from vidtrans.core.events import Report
from vidtrans.core.settings import Table
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.rendering.parts import Division

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
