"""The code that runs in a Ray cluster's processes: tasks, the check of each node, and the board for their events.

This module imports Ray only when its functions run, in Ray's workers.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from vidtrans.batch.executors.base import Task, TaskResult, run_task
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Event, Progress, Stop
from vidtrans.core.machine import set_up_heap
from vidtrans.core.settings import Table
from vidtrans.session import Context
from vidtrans.store.stages import libraries

EXCHANGE_S = 0.25  # interval of a task's messages to the board
DECISIVE = ("vidtrans", "torch", "av", "opencv-python-headless", "numpy")  # packages that affect the results' bytes
ENGINES: dict[tuple[str, ...], Any] = {}  # of this process, which runs one task at a time


class Board:
    """An actor that stores the tasks' events until they are taken, and the stop request."""

    def __init__(self) -> None:
        self._events: list[tuple[int, Event]] = []
        self._exit_status: int | None = None

    def exchange(self, number: int, events: list[Event]) -> int | None:
        """Add the events of a task; return the exit status of the stop request, or None."""
        self._events += [(number, event) for event in events]
        return self._exit_status

    def take(self) -> list[tuple[int, Event]]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events

    def stop(self, exit_status: int) -> None:
        """Ask all tasks to stop."""
        self._exit_status = exit_status


class Link:
    """A thread that sends a task's events to the board, and receives the stop request from it."""

    def __init__(self, board: Any, number: int, stop: Stop) -> None:  # noqa: ANN401  (a handle of Ray's)
        self._board, self._number, self._stop = board, number, stop
        self._lock, self._notes, self._ended = threading.Lock(), list[Event](), threading.Event()
        self._progress: Progress | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def report(self, event: Event) -> None:
        """Queue every note, and only the latest progress."""
        with self._lock:
            if isinstance(event, Progress):
                self._progress = event
            else:
                self._notes.append(event)

    def close(self) -> None:
        """Send the remaining events."""
        self._ended.set()
        self._thread.join()
        self._exchange()

    def _run(self) -> None:
        while not self._ended.wait(EXCHANGE_S):
            self._exchange()

    def _exchange(self) -> None:
        import ray

        with self._lock:
            events = [*self._notes, *([self._progress] if self._progress else [])]
            self._notes, self._progress = [], None
        with suppress(ray.exceptions.RayError):  # missing progress must not fail a task; a lost board ends the command
            status = ray.get(self._board.exchange.remote(self._number, events))
            if status is not None:
                self._stop.request(status)


def run_on_ray(
    number: int,
    task: Task,
    options: Table,
    node: Table,
    board: Any,  # noqa: ANN401  (a handle of Ray's)
) -> TaskResult:
    """Run a task with a context of ``options``; ``number`` is its submission number.

    ``node``: the ``folder`` to run in, and the required software and hardware as ``examine`` returns them, which a node
    that joined later may lack.
    """
    set_up_heap()
    try:
        check_node(examine(node["folder"], "", options["device"]), node, node["folder"])
    except UsageError as error:
        return TaskResult("failed", error=str(error), exit_status=error.exit_status)
    os.chdir(node["folder"])
    stop = Stop()
    link = Link(board, number, stop)
    try:
        return run_task(task, Context(report=link.report, stop=stop, engines=ENGINES, **options))
    finally:
        link.close()


def examine(folder: str, marker: str, device: str) -> Table:
    """Return this node's ``host``, ``versions``, ``processor``, and whether it ``sees`` ``folder`` and ``marker``."""
    from vidtrans.inference.device import resolve_device
    from vidtrans.rendering.parts import processor

    sees = Path(folder).is_dir() and (not marker or Path(marker).is_file())
    named = processor(resolve_device(device))
    return {"host": socket.gethostname(), "versions": libraries(*DECISIVE), "processor": named, "sees": sees}


def check_node(node: Table, wanted: Table, folder: str) -> None:
    """Raise UsageError if a node (see ``examine``) lacks ``folder``, or would give results other than ``wanted``'s."""
    what = f"--executor ray: {node['host']}"
    for name, here in wanted["versions"].items():
        if (there := node["versions"].get(name, "none")) != here:
            why = f"it has {name} {there}, and {wanted['host']} {here}: results would differ"
            raise UsageError(what, why, f"install {name} {here} there, or leave that machine out of the cluster")
    if node["processor"] != wanted["processor"]:
        why = f"it renders on {node['processor']}, and {wanted['host']} on {wanted['processor']}: results would differ"
        raise UsageError(what, why, "make a cluster of machines of one kind")
    if not node["sees"]:
        why = f"it does not see '{folder}', or not the cache of this command"
        raise UsageError(what, why, "share the folder with all machines, at the same path")
