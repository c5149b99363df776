"""The progress of a job in a notebook (Jupyter): a bar, messages, and previews."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from vidtrans.core.events import BatchStatus, Event, Note, Preview, Progress, Report, ignore_event

if TYPE_CHECKING:
    from collections.abc import Callable

DRAW_INTERVAL_S = 0.2  # Minimum interval between two updates of the progress bar, in seconds
# Minimum interval between two updates of the preview, in seconds, because a page may have megabytes
PREVIEW_INTERVAL_S = 5.0
MAX_NOTES = 4  # Number of latest messages that are shown below the progress bar


@contextmanager
def notebook_report(report: Report | None) -> Iterator[Report]:
    """Yield a job's report: ``report``, or for None a progress bar in a notebook, and ``ignore_event`` elsewhere."""
    display = None if report else _display_factory()
    if display is None:
        yield report or ignore_event
        return
    progress = NotebookProgress(display(), display())
    try:
        yield progress
    finally:
        progress.close()


def _display_factory() -> Callable[[], Any] | None:
    """Return a function that creates an output area in a notebook and returns its handle; None in other programs."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if not hasattr(shell, "kernel"):
        return None
    from IPython.display import HTML, display

    return lambda: display(HTML(""), display_id=True)


class NotebookProgress:
    """A report that shows a job's events in two output areas of a notebook: progress bar with messages, and preview."""

    def __init__(self, bar: Any, preview: Any) -> None:  # noqa: ANN401  (IPython's handles)
        self._bar, self._preview, self._lock = bar, preview, Lock()
        self._notes: list[str] = []
        self._line = ""
        self._views: dict[str, str] = {}
        self._drawn_s = self._previewed_s = 0.0
        self._began = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Show an event in the notebook: a message, a preview, or progress at intervals. Thread-safe."""
        with self._lock:
            if isinstance(event, Note):
                self._notes.append(f"warning: {event.text}" if event.level == "warning" else event.text)
                self._draw()
            elif isinstance(event, Preview):
                self._show_preview(event.path)
            else:
                self._line = _batch_line(event) if isinstance(event, BatchStatus) else _task_line(event)
                if time.monotonic() - self._drawn_s >= DRAW_INTERVAL_S:
                    self._draw()

    def close(self) -> None:
        """Remove the bar and the preview, and keep the warnings."""
        with self._lock:
            self._line = ""
            self._notes = [note for note in self._notes if note.startswith("warning: ")]
            self._draw()
            self._show(self._preview, "")

    def _draw(self) -> None:
        """Show the progress line and the latest messages in the bar's output area."""
        self._drawn_s = time.monotonic()
        notes = "".join(f"<div>{escape(note)}</div>" for note in self._notes[-MAX_NOTES:])
        self._show(self._bar, f'<div style="font-size:.9em">{self._line}{notes}</div>' if self._line or notes else "")

    def _show_preview(self, path: Path) -> None:
        """Show the newest preview of each file type, at intervals, because each update is sent to the browser."""
        from vidtrans.notebooks.views import file_view

        if path.suffix not in self._views or time.monotonic() - self._previewed_s >= PREVIEW_INTERVAL_S:
            self._views[path.suffix] = file_view(path)
            self._previewed_s = time.monotonic()
            self._show(self._preview, "".join(self._views.values()))

    @staticmethod
    def _show(handle: Any, html: str) -> None:  # noqa: ANN401
        """Replace the content of an output area by HTML. ``handle``: IPython's display handle."""
        from IPython.display import HTML

        handle.update(HTML(html))


def _task_line(event: Progress) -> str:
    """Return the HTML of a task's progress: a bar, and the number of finished units."""
    value = f' value="{event.done}" max="{event.total}"' if event.total else ""
    count = f"{event.done:,} of {event.total:,} {event.unit}" if event.total else ""
    words = "  ".join(filter(None, (event.task, count, event.detail)))
    return f'<div><progress{value} style="width:16em;vertical-align:middle"></progress> {escape(words)}</div>'


def _batch_line(event: BatchStatus) -> str:
    """Return the HTML of a batch's progress: a bar, and the numbers of items, units and failures."""
    clips, units = event.nouns
    words = f"{event.done} of {event.total} {clips}, {event.units:,} {units}"
    words += f", {event.failed} failed" if event.failed else ""
    words += f", {event.left_s:.0f} s left" if event.left_s is not None else ""
    bar = f'<progress value="{event.done}" max="{event.total}" style="width:16em;vertical-align:middle"></progress>'
    return f"<div>{bar} {escape(words)}</div>"
