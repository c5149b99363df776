"""The live line of a task on a terminal: what is done, its quality, the time left, in the columns that there are."""

from __future__ import annotations

import time
from typing import Any

from vidtrans.core.events import Progress

WIDEST_BAR, NARROWEST_BAR = 40, 8  # columns
SPINNER, GAP = 2, 2  # columns of the spinner with its space; between parts


def progress_parts(event: Progress, began: float, first: int, *, verbose: bool = False) -> list[str]:
    """Return what is known of a task, most important first: amount, time left, detail; for -v rate and figures.

    ``began``: when it began, in seconds of ``time.monotonic``; ``first``: the units that were done by then.
    """
    seconds = time.monotonic() - began
    rate = (event.done - first) / seconds if seconds >= 0.5 else 0.0
    known = [amount_of(event), event.detail]
    if event.total and rate > 0:
        known.insert(1, f"{clock((event.total - event.done) / rate)} left")
    if rate > 0 and (verbose or not event.total):
        known.append(f"{rate:.1f} {event.unit}/s")
    return [part for part in (*known, event.figures if verbose else "") if part]


def amount_of(event: Progress) -> str:
    """Return the amount done, and of how much if that is known; "" for a task that counts nothing."""
    if not event.total:
        return f"{event.done} {event.unit}" if event.done else ""
    done = f"{event.done:>{len(str(event.total))}}"
    return f"step {done} of {event.total}" if event.unit == "steps" else f"{done}/{event.total}"


def clock(seconds: float) -> str:
    """Return seconds as ``4:05`` or ``2:04:05``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def fit(task: str, parts: list[str], columns: int) -> tuple[str, int, list[str]]:
    """Return a task's name, the width of its bar and its parts as they fit in ``columns``, side by side.

    A bar of fewer than ``NARROWEST_BAR`` columns is left out (0); then the last parts are; then the name is cut.
    """
    parts, columns = list(parts), columns - SPINNER
    while len(parts) > 1 and len(task) + sum(GAP + len(part) for part in parts) > columns:
        parts.pop()
    left = columns - len(task) - sum(GAP + len(part) for part in parts)
    if left < 0:
        name = max(1, len(task) + left - 1)
        return f"{task[:name]}…", 0, parts
    bar = min(WIDEST_BAR, left - GAP)
    return task, bar if bar >= NARROWEST_BAR else 0, parts


class LiveLine:
    """A line that is drawn again and again, and vanishes when it stops."""

    def __init__(self, event: Progress) -> None:
        from rich.console import Console as Rich
        from rich.progress import Progress as Live
        from rich.progress import ProgressColumn, SpinnerColumn, Task
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        class Line(ProgressColumn):
            """The task, its bar and its parts, laid out for the width that the terminal has now."""

            def render(self, task: Task) -> Table:
                name, bar, parts = fit(task.description, task.fields["parts"], live.console.width)
                row: list[Any] = [name, *parts]
                if bar:
                    pulse = task.total is None
                    row[1:1] = [ProgressBar(task.total, task.completed, bar, pulse, animation_time=task.get_time())]
                table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
                for _ in row:
                    table.add_column(no_wrap=True)
                table.add_row(*row)
                return table

        live = self._live = Live(SpinnerColumn(), Line(), console=Rich(stderr=True, markup=False), transient=True)
        live.start()
        self._task = live.add_task(event.task, total=event.total, parts=[])

    def update(self, event: Progress, parts: list[str]) -> None:
        """Show the state of the task with these parts."""
        self._live.update(self._task, completed=event.done, total=event.total, parts=parts)

    def refresh(self) -> None:
        """Draw the line now."""
        self._live.refresh()

    def print(self, text: str) -> None:
        """Print a line above."""
        self._live.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        """Remove the line."""
        self._live.stop()
