"""Executors: they run a batch's tasks, in this process, in others, or on other machines.

An executor is a class that offers what ``base.Executor`` states. A task, its arguments and its result are picklable,
and an executor shares nothing with its workers but the files that a task names and the cache folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidtrans.errors import UsageError
from vidtrans.registry import Entry, Registry

if TYPE_CHECKING:
    from vidtrans.batch.executors.base import Executor
    from vidtrans.session import Context

EXECUTORS = Registry(
    "executor",
    {
        "inline": Entry("vidtrans.batch.executors.inline:InlineExecutor", "this process, one task at a time"),
        "local": Entry("vidtrans.batch.executors.local:LocalExecutor", "worker processes, one on each device"),
        "ray": Entry("vidtrans.batch.executors.ray:RayExecutor", "a Ray cluster, or ray://HOST:PORT"),
    },
)
AUTO = "auto"  # one clip on one device: inline; else local


def parse_executor(text: str) -> tuple[str, str]:
    """Split ``NAME[://ADDRESS]``. Raises UsageError on an unknown name, and an address that the executor cannot use."""
    name, _, address = text.partition("://")
    if address and not EXECUTORS.load(name).takes_address:
        raise UsageError(f"--executor {text}", f"'{name}' takes no address", f"write --executor {name}")
    EXECUTORS[name]
    return name, address


def make_executor(text: str, context: Context, jobs: int | None) -> Executor:
    """Return the executor that ``--executor`` and ``--jobs`` ask for. Close it after use. Raises UsageError."""
    name, address = parse_executor("local" if text == AUTO else text)
    executor: Executor = EXECUTORS.load(name)(context, jobs, address)
    return executor
