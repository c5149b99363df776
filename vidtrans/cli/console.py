"""Printing: progress and notes to standard error, results to standard output. No other module prints."""

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

WIDEST_BAR, NARROWEST_BAR, WIDEST_NAME = 40, 8, 48  # columns
SPINNER, GAP = 2, 2  # columns of the spinner with its space; between parts
PLAIN_INTERVAL_S = 5.0
BATCH_INTERVAL_S = 60.0  # each item of a batch has a line of its own
# Replacements for characters that a pipe's encoding lacks, usually a code page of 256 characters on Windows.
_PLAIN = str.maketrans(
    {"→": "->", "−": "-", "–": "-", "—": "-", "…": "...", "×": "x", "·": ".", "─": "-", "≥": ">=", "�": "?"}
    | {"█": "#", "▀": "'", "▄": "."}
)
_JOINED = "\0"  # stands for a space at which no line is broken


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


def live_line(event: Progress) -> Any:  # noqa: ANN401  (rich loads where it is used)
    """Return the started rich display of one task: a line that is drawn again and again, and vanishes at its stop."""
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

    live = Live(SpinnerColumn(), Line(), console=Rich(stderr=True, markup=False), transient=True)
    live.start()
    live.add_task(event.task, total=event.total, parts=[])
    return live


def write_any_text() -> None:
    """Make standard output and error write plainer characters for those that their encoding lacks."""
    codecs.register_error("vidtrans.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors="vidtrans.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(_PLAIN)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


class Console:
    """The printer of jobs' events: a live line on a terminal, plain lines at intervals in a pipe; to be closed."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.as_json, self.quiet, self.verbose = as_json, quiet, verbose
        self._mute = is_secondary_rank()
        self._started = time.monotonic()
        self._live: Any = None  # rich's display of a task
        self._table: Any = None  # of a batch
        self._name = self._finished = ""
        self._printed = 0.0
        self._time_left = TimeLeft(0.0, 0)

    def report(self, event: Event) -> None:
        """Show an event of a job; with ``quiet`` only warnings."""
        is_warning = isinstance(event, Note) and event.level == "warning"
        if self._mute or (self.quiet and not is_warning):
            return
        if isinstance(event, Note):
            self._line(f"warning: {event.text}" if is_warning else event.text)
        elif isinstance(event, BatchStatus):
            self._batch(event)
        elif not isinstance(event, Preview):  # a note has named it
            self._progress(event)

    def result(self, table: dict[str, Any], line: str) -> None:
        """Print the result of a successful command: ``table`` as a JSON object with --json, else ``line``."""
        self.close()
        if self._mute:
            return
        with _errors_name_standard_output():
            if self.as_json:
                self._json(table)
            elif not self.quiet:
                sys.stdout.write(_wrapped(line, sys.stdout) + "\n")
            sys.stdout.flush()

    def figures(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table before the result's line: names on the left, numbers on the right."""
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
        """Print text that is itself the command's result."""
        with _errors_name_standard_output():
            sys.stdout.write(text.rstrip("\n") + "\n")
            sys.stdout.flush()

    def file_content(self, text: str) -> None:
        """Print text that is redirected to a file: in UTF-8 with Unix line ends, on Windows too."""
        if WINDOWS and isinstance(sys.stdout, TextIOWrapper) and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")
        self.text(text)

    def failure(self, line: str, exit_status: int, table: Mapping[str, object] | None = None) -> None:
        """Print the error line of a failed command, and with --json an object with the error."""
        self.close()
        if self._mute:
            return
        if self.as_json:
            with suppress(OSError):  # standard output may be the cause of the error
                self._json({**(table or {}), "error": line, "exit_status": exit_status})
        _log(f"error: {line}" if exit_status not in (130, 143) else line)

    def _json(self, table: dict[str, Any]) -> None:
        """Print ``table`` as the one JSON object of --json, with the keys that every command has."""
        seconds = round(time.monotonic() - self._started, 3)
        always = {"output": None, "frames": 0, "seconds": seconds, "cached": False}
        sys.stdout.write(json.dumps(_rounded(always | table)) + "\n")
        sys.stdout.flush()

    def _line(self, text: str) -> None:
        if shown := self._live or self._table:
            shown.console.print(text, markup=False, highlight=False)
        else:
            _log(text)

    def _progress(self, event: Progress) -> None:
        now = time.monotonic()
        is_over = 0 < (event.total or 0) <= event.done
        if is_over and event.task == self._finished:
            return
        if event.task != self._name:
            self.close()
            self._finished = ""
            self._name, self._printed, self._time_left = event.task, now, TimeLeft(now, max(0, event.done - 1))
            if sys.stderr.isatty():
                self._live = live_line(event)
        parts = progress_parts(event, self._time_left, now, verbose=self.verbose)
        if self._live is not None:
            self._live.update(self._live.task_ids[0], completed=event.done, total=event.total, parts=parts)
            if is_over:  # what comes next may take long before it reports
                self.close()
                self._finished = event.task
        elif self._is_due(now, PLAIN_INTERVAL_S):
            self._line(f"{event.task}: {', '.join(part.strip() for part in parts)}")

    def _batch(self, event: BatchStatus) -> None:
        """Show the state of a batch on one line, and on a terminal each running task below it."""
        now = time.monotonic()
        if self._live is not None:  # of what came before
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
        """Return whether a plain line may be printed now: ``interval_s`` seconds after the start or the last line."""
        self._printed = self._printed or now
        if now - self._printed < interval_s:
            return False
        self._printed = now
        return True

    def close(self) -> None:
        """End the live line; the next event starts a new one."""
        for shown in filter(None, (self._live, self._table)):
            shown.stop()
        self._live = self._table = None
        self._name = ""


def _log(text: str) -> None:
    """Print a line on standard error; errors of writing, such as a full disk, are ignored."""
    try:
        sys.stderr.write(_wrapped(text, sys.stderr) + "\n")
        sys.stderr.flush()
    except BrokenPipeError:  # the reader has gone
        raise
    except OSError:
        pass


def _wrapped(text: str, stream: TextIO) -> str:
    """Break the lines of a text between words where a terminal would break them within."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(line if len(line) <= width else _broken(line, width) for line in text.split("\n"))


def _broken(line: str, width: int) -> str:
    """Break a line between words; of two columns ("  a  what it is") the second goes on where it began.

    A command stays whole, because it is copied; what follows it goes to the next line.
    """
    line = re.sub(r"'vidtrans [^']*'", lambda found: found[0].replace(" ", _JOINED), line)  # in a sentence
    columns = re.match(r"( *)(?:(\S.*?) {2,}(?=\S))?", line)
    assert columns is not None, "each of its parts may be empty"
    wrap = partial(textwrap.fill, break_long_words=False, break_on_hyphens=False)
    if re.search(r"\bvidtrans [a-z]", line):
        rest = line[columns.end() :]
        if columns[2] is None or "vidtrans " in rest:
            return line
        return f"{columns[1]}{columns[2]}\n" + wrap(rest, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    indent = next(at for at in (columns.end(), len(columns[1]), 0) if at <= width // 2)
    return wrap(line, width, subsequent_indent=" " * indent).replace(_JOINED, " ")


def _rounded(value: Any) -> Any:  # noqa: ANN401  (a JSON value)
    """Return a JSON value whose numbers have at most 12 digits, so that 0.1 + 0.2 is 0.3."""
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


@contextmanager
def _errors_name_standard_output() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = error.filename or "standard output"
        raise
