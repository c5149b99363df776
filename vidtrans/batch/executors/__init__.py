"""Executors, which run a batch's tasks in this process, in other processes, or on other machines.

An executor is a class with the interface ``base.Executor``. Tasks, arguments and results are picklable, and an executor
shares with its workers only the files that a task names and the cache folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidtrans.core.errors import UsageError
from vidtrans.core.registry import Entry, Registry

if TYPE_CHECKING:
    from vidtrans.batch.executors.base import Executor
    from vidtrans.session import Context


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
LOCAL = "local"
AUTO = "auto"  # inline for one clip on one device; otherwise local


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
