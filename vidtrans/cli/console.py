"""The console: progress and notes on standard error, results on standard output. No other module prints."""

from __future__ import annotations

import codecs
import json
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import TextIOWrapper
from typing import Any, TextIO

from vidtrans.core.costs import TimeLeft, count, duration, round_time
from vidtrans.core.events import BatchStatus, Event, Note, Preview, Progress
from vidtrans.core.machine import is_secondary_rank
from vidtrans.core.system import WINDOWS

# Maximum and minimum width of a progress bar, and maximum width of an item's name, in columns (characters)
MAX_BAR_COLUMNS, MIN_BAR_COLUMNS, MAX_NAME_COLUMNS = 40, 8, 48
# Width of the spinner with its space, and of the gap between two texts of a line, in columns (characters)
SPINNER_COLUMNS, GAP_COLUMNS = 2, 2
PLAIN_INTERVAL_S = 5.0  # Interval of a task's progress lines if standard error is not a terminal, in seconds
# Interval of a batch's progress lines if standard error is not a terminal, in seconds.
# A batch also prints a line when an item ends.
BATCH_INTERVAL_S = 60.0
# ASCII replacements of characters that an output's encoding may lack, such as a Windows code page of 256 characters
_ASCII_REPLACEMENTS = str.maketrans(
    {"→": "->", "−": "-", "–": "-", "—": "-", "…": "...", "×": "x", "·": ".", "─": "-", "≥": ">=", "�": "?"}
    | {"█": "#", "▀": "'", "▄": "."}
)
_NO_BREAK = "\0"  # Placeholder for a space at which lines are not wrapped


def progress_parts(event: Progress, estimate: TimeLeft, now: float, *, verbose: bool = False) -> list[str]:
    """Return texts on a task's progress, the most important first: amount, time left, detail, rate, figures.

    The figures need ``verbose``, and so does the rate if the total is known. ``estimate``: the task's remaining time,
    which is updated. ``now``: seconds of ``time.monotonic``.
    """
    left, seconds = estimate.update(event, now), now - estimate.began
    rate = (event.done - estimate.first) / seconds if seconds >= 0.5 else 0.0
    known = [amount_text(event), "" if left is None else left_text(left), event.detail]
    if rate > 0 and (verbose or not event.total):
        known.append(f"{rate:.1f} {event.unit}/s")
    return [part for part in (*known, event.figures if verbose else "") if part]


def amount_text(event: Progress) -> str:
    """Return the amount done, and the total if it is known: ``12/300``; "" for a task that counts nothing."""
    if not event.total:
        return f"{event.done} {event.unit}" if event.done else ""
    done = f"{event.done:>{len(str(event.total))}}"
    return f"step {done} of {event.total}" if event.unit == "steps" else f"{done}/{event.total}"


def left_text(seconds: float) -> str:
    """Format the estimated time left as ``about 3 min left``."""
    return f"about {duration(round_time(seconds))} left"


def fit_columns(task: str, parts: list[str], columns: int) -> tuple[str, int, list[str]]:
    """Fit a progress line into ``columns``; return the task's name, the bar's width in columns, and the texts.

    ``parts``: the texts, the most important first. A bar of fewer than ``MIN_BAR_COLUMNS`` is left out (0); then the
    last texts are left out; then the name is cut.
    """
    parts, columns = list(parts), columns - SPINNER_COLUMNS
    while len(parts) > 1 and len(task) + sum(GAP_COLUMNS + len(part) for part in parts) > columns:
        parts.pop()
    left = columns - len(task) - sum(GAP_COLUMNS + len(part) for part in parts)
    if left < 0:
        name = max(1, len(task) + left - 1)
        return f"{task[:name]}…", 0, parts
    bar = min(MAX_BAR_COLUMNS, left - GAP_COLUMNS)
    return task, bar if bar >= MIN_BAR_COLUMNS else 0, parts


def batch_parts(event: BatchStatus) -> list[str]:
    """Return the texts on the state of a batch: items done, time left, frames (or other units) done, and their rate."""
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
    """Return a rich table, at most ``columns`` characters wide: the batch's state, and a row for each running task."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    head, *rest = batch_parts(event)
    rows = [(head, event.done, event.total, rest)]
    for worker, progress in event.workers:
        task = progress.task.removesuffix(worker.rpartition("/")[2]).strip() if progress else ""
        amount = amount_text(progress) if progress else ""
        done, total = (progress.done, progress.total or 0) if progress else (0, 0)
        rows.append((f"  {worker}", done, total, [part for part in (task or "begins", amount) if part]))
    width = max(len(head), min(MAX_NAME_COLUMNS, columns // 2, max(len(name) for name, *_ in rows)))
    names = [name if len(name) <= width else f"{name[: width - 1]}…" for name, *_ in rows]
    fitted = [
        fit_columns(name.ljust(width), parts, columns + SPINNER_COLUMNS)
        for name, (*_, parts) in zip(names, rows, strict=True)
    ]
    bar = min(MAX_BAR_COLUMNS // 2, *(room for _, room, _ in fitted), columns)
    table = Table.grid(padding=(0, GAP_COLUMNS, 0, 0), pad_edge=False)
    for _ in range(3):
        table.add_column(no_wrap=True)
    for (name, _, parts), (_, done, total, _) in zip(fitted, rows, strict=True):
        shown = [ProgressBar(max(1, total), min(done, total), bar)] if bar else []
        table.add_row(name, *shown, (" " * GAP_COLUMNS).join(parts))
    return table


def live_line(event: Progress) -> Any:  # noqa: ANN401  (rich loads where it is used)
    """Start and return rich's display of one task: a line that is redrawn, and is erased when it is stopped."""
    from rich.console import Console as Rich
    from rich.progress import Progress as Live
    from rich.progress import ProgressColumn, SpinnerColumn, Task
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    class Line(ProgressColumn):
        """The line of a task: its name, bar and progress texts, fitted to the current width of the terminal."""

        def render(self, task: Task) -> Table:
            """Return the line: the task's name, a bar if there is room, and the texts on its progress."""
            name, bar, parts = fit_columns(task.description, task.fields["parts"], live.console.width)
            row: list[Any] = [name, *parts]
            if bar:
                pulse = task.total is None
                row[1:1] = [ProgressBar(task.total, task.completed, bar, pulse, animation_time=task.get_time())]
            table = Table.grid(padding=(0, GAP_COLUMNS, 0, 0), pad_edge=False)
            for _ in row:
                table.add_column(no_wrap=True)
            table.add_row(*row)
            return table

    live = Live(SpinnerColumn(), Line(), console=Rich(stderr=True, markup=False), transient=True)
    live.start()
    live.add_task(event.task, total=event.total, parts=[])
    return live


def allow_any_text() -> None:
    """Make standard output and error replace characters that their encoding lacks."""
    codecs.register_error("vidtrans.plain", _replace_unencodable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors="vidtrans.plain")


def _replace_unencodable(error: UnicodeError) -> tuple[str, int]:
    """Return the replacement for characters that the encoding lacks: similar ASCII text, or an escape."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(_ASCII_REPLACEMENTS)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


class Console:
    """The console of a command: shows events as a redrawn line on a terminal, or as plain lines. Close it after use.

    ``as_json``: print the result as JSON. ``quiet``: show only warnings and errors. ``verbose``: also show rates and
    figures of progress.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.as_json, self.quiet, self.verbose = as_json, quiet, verbose
        self._is_silent = is_secondary_rank()
        self._started_s = time.monotonic()
        self._live: Any = None  # rich's display of a task
        self._table: Any = None  # rich's display of a batch
        self._task_name = self._finished_task = ""
        self._printed_s = 0.0
        self._time_left = TimeLeft(0.0, 0)

    def report(self, event: Event) -> None:
        """Show an event of a job; with ``quiet``, only warnings."""
        is_warning = isinstance(event, Note) and event.level == "warning"
        if self._is_silent or (self.quiet and not is_warning):
            return
        if isinstance(event, Note):
            self._line(f"warning: {event.text}" if is_warning else event.text)
        elif isinstance(event, BatchStatus):
            self._batch(event)
        elif not isinstance(event, Preview):  # A note has already named the preview's file.
            self._progress(event)

    def result(self, table: dict[str, Any], line: str) -> None:
        """Print the result of a successful command: with --json ``table`` as a JSON object, otherwise ``line``."""
        self.close()
        if self._is_silent:
            return
        with _name_standard_output():
            if self.as_json:
                self._json(table)
            elif not self.quiet:
                sys.stdout.write(_wrap_text(line, sys.stdout) + "\n")
            sys.stdout.flush()

    def figures(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table above the result, unless --json or --quiet is given.

        ``rows``: the cells below ``headings``. The first column is left-aligned, the others are right-aligned.
        """
        self.close()
        if self.as_json or self.quiet:
            return
        from rich import box
        from rich.console import Console as Rich
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for at, heading in enumerate(headings):
            table.add_column(heading, justify="right" if at else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        Rich(markup=False, highlight=False).print(table)

    def text(self, text: str) -> None:
        """Print text that is itself the command's result, such as a schema."""
        with _name_standard_output():
            sys.stdout.write(text.rstrip("\n") + "\n")
            sys.stdout.flush()

    def file_content(self, text: str) -> None:
        """Print text that users redirect to a file: in UTF-8 with Unix line ends, on Windows, too."""
        if WINDOWS and isinstance(sys.stdout, TextIOWrapper) and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")
        self.text(text)

    def failure(self, line: str, exit_status: int, table: Mapping[str, object] | None = None) -> None:
        """Print the error ``line`` of a failed command; with --json, also print an object with the error.

        ``table``: additional entries of the object.
        """
        self.close()
        if self._is_silent:
            return
        if self.as_json:
            with suppress(OSError):  # Standard output may be the cause of the error.
                self._json({**(table or {}), "error": line, "exit_status": exit_status})
        _log(f"error: {line}" if exit_status not in (130, 143) else line)

    def _json(self, table: dict[str, Any]) -> None:
        """Print ``table`` as the JSON object of --json, with the keys that all commands share."""
        seconds = round(time.monotonic() - self._started_s, 3)
        always = {"output": None, "frames": 0, "seconds": seconds, "cached": False}
        sys.stdout.write(json.dumps(_round_numbers(always | table)) + "\n")
        sys.stdout.flush()

    def _line(self, text: str) -> None:
        """Print a line on standard error, above the redrawn progress line if there is one."""
        if shown := self._live or self._table:
            shown.console.print(text, markup=False, highlight=False)
        else:
            _log(text)

    def _progress(self, event: Progress) -> None:
        """Show the progress of a task: update the redrawn progress line, or print a plain line at intervals."""
        now = time.monotonic()
        is_over = 0 < (event.total or 0) <= event.done
        if is_over and event.task == self._finished_task:
            return
        if event.task != self._task_name:
            self.close()
            self._finished_task = ""
            self._task_name, self._printed_s, self._time_left = event.task, now, TimeLeft(now, max(0, event.done - 1))
            if sys.stderr.isatty():
                self._live = live_line(event)
        parts = progress_parts(event, self._time_left, now, verbose=self.verbose)
        if self._live is not None:
            self._live.update(self._live.task_ids[0], completed=event.done, total=event.total, parts=parts)
            if is_over:  # The next task may take long before its first report.
                self.close()
                self._finished_task = event.task
        elif self._is_due(now, PLAIN_INTERVAL_S):
            self._line(f"{event.task}: {', '.join(part.strip() for part in parts)}")

    def _batch(self, event: BatchStatus) -> None:
        """Show the state of a batch: on a terminal with a line for each running task, otherwise as one plain line."""
        now = time.monotonic()
        if self._live is not None:  # It shows an earlier task.
            self.close()
        if self._table is None and not sys.stderr.isatty():
            if self._is_due(now, BATCH_INTERVAL_S):
                self._line("  ".join(batch_parts(event)))
            return
        from rich.console import Console as Rich
        from rich.live import Live

        if self._table is None:
            self._table = Live(console=Rich(stderr=True), transient=True, auto_refresh=False)
            self._table.start()
        self._table.update(batch_table(event, self._table.console.width), refresh=True)

    def _is_due(self, now: float, interval_s: float) -> bool:
        """Return whether ``interval_s`` seconds have passed since the start or the last plain line."""
        self._printed_s = self._printed_s or now
        if now - self._printed_s < interval_s:
            return False
        self._printed_s = now
        return True

    def close(self) -> None:
        """Erase the redrawn progress lines, of a task or of a batch; the next event starts new ones."""
        for shown in filter(None, (self._live, self._table)):
            shown.stop()
        self._live = self._table = None
        self._task_name = ""


def _log(text: str) -> None:
    """Print a line on standard error; write errors, such as a full disk, are ignored. Raises BrokenPipeError."""
    try:
        sys.stderr.write(_wrap_text(text, sys.stderr) + "\n")
        sys.stderr.flush()
    except BrokenPipeError:  # The reader of the pipe has ended.
        raise
    except OSError:
        pass


def _wrap_text(text: str, stream: TextIO) -> str:
    """Break the lines of a text between words, if they are wider than the terminal."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(line if len(line) <= width else _wrap_line(line, width) for line in text.split("\n"))


def _wrap_line(line: str, width: int) -> str:
    """Break a line between words; the second of two columns ("  name  description") is indented to its start.

    A command line is not broken, because users copy it; text behind it moves to the next line.
    """
    # Do not break quoted commands in a sentence.
    line = re.sub(r"'vidtrans [^']*'", lambda found: found[0].replace(" ", _NO_BREAK), line)
    columns = re.match(r"( *)(?:(\S.*?) {2,}(?=\S))?", line)
    assert columns is not None, "the pattern matches every line, as its parts may be empty"
    wrap = partial(textwrap.fill, break_long_words=False, break_on_hyphens=False)
    if re.search(r"\bvidtrans [a-z]", line):
        rest = line[columns.end() :]
        if columns[2] is None or "vidtrans " in rest:
            return line
        return f"{columns[1]}{columns[2]}\n" + wrap(rest, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    indent = next(at for at in (columns.end(), len(columns[1]), 0) if at <= width // 2)
    return wrap(line, width, subsequent_indent=" " * indent).replace(_NO_BREAK, " ")


def _round_numbers(value: Any) -> Any:  # noqa: ANN401  (a JSON value)
    """Round the numbers in a JSON value to 12 digits, so that 0.1 + 0.2 is printed as 0.3."""
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, dict):
        return {key: _round_numbers(one) for key, one in value.items()}
    return [_round_numbers(one) for one in value] if isinstance(value, list | tuple) else value


@contextmanager
def _name_standard_output() -> Iterator[None]:
    """Give an OSError in this block the file name "standard output", if it has none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or "standard output"
        raise
