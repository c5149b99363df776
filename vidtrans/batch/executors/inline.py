"""The executor that runs tasks in this process.

It is for debugging, and for tasks that are shorter than the start of a process.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from vidtrans.batch.executors import Task, TaskResult, run_task
from vidtrans.core.events import Report
from vidtrans.session import Context


class InlineExecutor:
    """An executor that runs each task in this process, during ``receive``. A crash ends the batch."""

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
