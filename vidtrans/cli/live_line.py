"""The live line of a task on a terminal: what is done, its quality, the time left, in the columns that there are."""

from __future__ import annotations

from typing import Any

from vidtrans.core.costs import TimeLeft, count, duration, round_time
from vidtrans.core.events import BatchStatus, Progress

WIDEST_BAR, NARROWEST_BAR, WIDEST_NAME = 40, 8, 48  # columns
SPINNER, GAP = 2, 2  # columns of the spinner with its space; between parts


def progress_parts(event: Progress, estimate: TimeLeft, now: float, *, verbose: bool = False) -> list[str]:
    """Return what is known of a task, most important first: amount, time left, detail; for -v rate and figures.

    ``estimate``: of this task, which it updates; ``now``: seconds of ``time.monotonic``.
    """
    left, seconds = estimate.update(event, now), now - estimate.began
    rate = (event.done - estimate.first) / seconds if seconds >= 0.5 else 0.0
    known = [amount_of(event), "" if left is None else left_text(left), event.detail]
    if rate > 0 and (verbose or not event.total):
        known.append(f"{rate:.1f} {event.unit}/s")
    return [part for part in (*known, event.figures if verbose else "") if part]


def amount_of(event: Progress) -> str:
    """Return the amount done, and of how much if that is known; "" for a task that counts nothing."""
    if not event.total:
        return f"{event.done} {event.unit}" if event.done else ""
    done = f"{event.done:>{len(str(event.total))}}"
    return f"step {done} of {event.total}" if event.unit == "steps" else f"{done}/{event.total}"


def left_text(seconds: float) -> str:
    """Return the estimated time left as text: ``about 3 min left``."""
    return f"about {duration(round_time(seconds))} left"


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


def batch_parts(event: BatchStatus) -> list[str]:
    """Return the state of a batch: items, time left, units, their rate."""
    failed = f", {event.failed} failed" if event.failed else ""
    items, units = event.nouns
    parts = [
        f"{event.done}/{event.total} {items}{failed}",
        count(event.units, units.removesuffix("s")),
        f"{event.rate:.1f} {units}/s",
    ]
    if event.left_s is not None:
        parts.insert(1, left_text(event.left_s))
    return parts


def batch_table(event: BatchStatus, columns: int) -> Any:  # noqa: ANN401  (rich loads where it is used)
    """Return the state of a batch, and below it that of each running task, as a table of at most ``columns``."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    head, *rest = batch_parts(event)
    rows = [(head, event.done, event.total, rest)]
    for worker, progress in event.workers:
        task = progress.task.removesuffix(worker.rpartition("/")[2]).strip() if progress else ""
        amount = amount_of(progress) if progress else ""
        done, total = (progress.done, progress.total or 0) if progress else (0, 0)
        rows.append((f"  {worker}", done, total, [part for part in (task or "begins", amount) if part]))
    width = max(len(head), min(WIDEST_NAME, columns // 2, max(len(name) for name, *_ in rows)))
    names = [name if len(name) <= width else f"{name[: width - 1]}…" for name, *_ in rows]
    fitted = [fit(name.ljust(width), parts, columns + SPINNER) for name, (*_, parts) in zip(names, rows, strict=True)]
    bar = min(WIDEST_BAR // 2, *(room for _, room, _ in fitted), columns)
    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    for _ in range(3):
        table.add_column(no_wrap=True)
    for (name, _, parts), (_, done, total, _) in zip(fitted, rows, strict=True):
        shown = [ProgressBar(max(1, total), min(done, total), bar)] if bar else []
        table.add_row(name, *shown, (" " * GAP).join(parts))
    return table


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
