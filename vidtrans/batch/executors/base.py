"""The interface of executors: the tasks they receive and the results they return."""

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
    """Work on the item ``number`` of a batch: ``work`` is called with a context.

    ``kind``: the whole item, finding out how to divide it, or a part of it, the ``part`` of its ``division``.
    ``tries``: how many workers were lost with it before. Picklable.
    """

    number: int
    kind: Literal["whole", "divide", "part"]
    work: Callable[[Context], Table | Division | None]
    tries: int = 0
    part: tuple[int, int] = (0, 0)
    division: Division | None = None


@dataclass(frozen=True)
class TaskResult:
    """How a task ended. Picklable.

    "done" with the ``value`` that its work returned; "stopped" as requested, with everything saved; "failed" with
    an ``error`` in words and its ``exit_status``, and the ``traceback`` of a bug; "lost" together with its worker:
    then ``error`` says how that one ended, and ``is_blameless`` that the task cannot have been the reason.
    ``disk_full``: all tasks that follow would fail as well.
    """

    state: Literal["done", "stopped", "failed", "lost"]
    value: Table | Division | None = None
    error: str = ""
    exit_status: int = 0
    traceback: str = ""
    disk_full: bool = False
    is_blameless: bool = False


class Executor(Protocol):
    """Runs up to ``slots`` tasks at a time, each in a process that runs no other meanwhile.

    Made of the context that the tasks share, the ``--jobs`` that were asked for (None: as many as make sense), and the
    address in ``--executor NAME://ADDRESS``. Its methods are called from one thread. Raises UsageError; VidtransError
    where it cannot run anything at all. ``ahead``: so many of the slots are for dividing and joining items on this
    machine; where there are any, every item is to be divided, be it into one part.
    """

    takes_address: ClassVar[bool]
    ahead: ClassVar[int]
    slots: int

    def __init__(self, context: Context, jobs: int | None, address: str) -> None: ...

    def submit(self, task: Task, report: Report) -> None:
        """Begin a task, while fewer than ``slots`` run. ``report``, safe in any thread, is given what it reports."""

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Return a task that has ended; None after ``timeout_s`` at the latest (``inline`` runs its task)."""

    def stop(self, exit_status: int) -> None:
        """Ask all running tasks to save their work and end; each is received, as "stopped" unless it was done."""

    def close(self) -> None:
        """Release everything, and end what still runs. No task is lost: its item is unfinished in the cache."""


def run_task(task: Task, context: Context) -> TaskResult:
    """Run a task to its end, whatever becomes of it. Only KeyboardInterrupt and its like are raised."""
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
    """Return whether it is an error of a full disk."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def shared_options(context: Context) -> Table:
    """Return what a context in another process is made of, besides its device, report and stop. Picklable."""
    return {name: getattr(context, name) for name in SHARED}
