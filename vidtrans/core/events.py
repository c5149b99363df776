"""Events that long jobs report to a callback: progress, notes, batch status; and the request to stop a job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vidtrans.core.errors import Interrupted


@dataclass(frozen=True)
class Progress:
    """The progress of a job's task: ``done`` of ``total`` units (None: unknown). ``task``: its name for the user.

    ``unit``: the plural of the unit. ``detail``: text to show after the numbers; ``figures``: more text, for -v.
    ``counted``: the units are frames of a render or steps of a training, which a batch adds up. ``at_most_s``: upper
    bound of the task's remaining seconds; None without a bound.
    """

    task: str
    done: int
    total: int | None
    unit: str = "frames"
    detail: str = ""
    figures: str = ""
    counted: bool = False
    at_most_s: float | None = None


@dataclass(frozen=True)
class Note:
    """A message to the user. ``level`` is 'info' or 'warning'.

    ``general``: the note concerns the whole command, so a batch reports it only once. ``advises``: the note recommends
    a setting, so a command that chooses all settings itself drops it (``without_advice``).
    """

    text: str
    level: str = "info"
    general: bool = False
    advises: bool = False


@dataclass(frozen=True)
class BatchStatus:
    """The state of a batch: ``done`` items of ``total``, of which some ``failed``.

    ``units``: units finished so far, at ``rate`` per second. ``left_s``: the estimated remaining seconds, None if
    unknown. ``workers``: the title and the last progress of each running item. ``nouns``: plurals for items and units.
    """

    done: int
    failed: int
    total: int
    units: int
    rate: float
    left_s: float | None
    workers: tuple[tuple[str, Progress | None], ...]
    nouns: tuple[str, str] = ("clips", "frames")


@dataclass(frozen=True)
class Preview:
    """A preview of an unfinished result: a picture, video or page at ``path``, which is overwritten repeatedly."""

    path: Path


Event = Progress | Note | BatchStatus | Preview  # An event that a job reports
Report = Callable[[Event], None]  # A callback that receives the events of a job


def ignore_event(event: Event) -> None:
    """Do nothing with an event: the ``Report`` of callers that need no events."""


def without_advice(report: Report) -> Report:
    """Return a ``Report`` that passes on all events to ``report``, except notes that recommend a setting."""
    return lambda event: None if isinstance(event, Note) and event.advises else report(event)


class Stop:
    """A request to stop. Long loops check it between frames or steps, and raise ``Interrupted``.

    One object may serve several calls. ``exit_status`` is None until a stop is requested.
    """

    def __init__(self) -> None:
        self.requested = False
        self.exit_status: int | None = None

    def request(self, exit_status: int = 130) -> None:
        """Request the stop, from any thread, callback or signal handler.

        ``exit_status``: the exit status of ``Interrupted``: 130 for Ctrl-C, 143 for TERM.
        """
        self.requested, self.exit_status = True, exit_status

    def check(self) -> None:
        """Raise Interrupted if a stop was requested. Call it where all finished work is saved."""
        if self.exit_status is not None:
            raise Interrupted(self.exit_status)


NEVER_STOP = Stop()  # Default of functions that take a ``Stop``: a stop is never requested
