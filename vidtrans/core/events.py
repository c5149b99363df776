"""Events that long jobs report: progress, notes, batch status. The library calls back; the command line prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vidtrans.core.errors import Interrupted


@dataclass(frozen=True)
class Progress:
    """Progress of a ``task`` (its name): ``done`` of ``total`` units; ``total`` is None where it is unknown.

    ``unit``: the plural of the unit. ``detail``: text to show after the numbers; ``figures``: more of it, for -v.
    ``counted``: a batch adds up these units, which are frames of renders or steps of trainings. ``at_most_s``: the
    seconds after which the task ends in any case; None without such a limit.
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

    ``general``: it concerns the whole command, so a batch reports it only once. ``advises``: it recommends a setting,
    so a command that chooses all settings itself leaves it out (``without_advice``).
    """

    text: str
    level: str = "info"
    general: bool = False
    advises: bool = False


@dataclass(frozen=True)
class BatchStatus:
    """The state of a batch: ``done`` items of ``total``, of which some ``failed``.

    ``units``: units finished so far, at ``rate`` per second; ``left_s``: the estimated remaining seconds, None where
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
    """A picture, a video or a page at ``path``, written again and again, shows what there is so far."""

    path: Path


Event = Progress | Note | BatchStatus | Preview
Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignore an event: a Report for callers that want none."""


def without_advice(report: Report) -> Report:
    """Return a Report that passes on all events but the notes that recommend a setting."""
    return lambda event: None if isinstance(event, Note) and event.advises else report(event)


class Stop:
    """A request to stop, which long loops check between frames or steps; they raise ``Interrupted``.

    One object may serve several calls. ``exit_status`` is None until a stop is requested.
    """

    def __init__(self) -> None:
        self.requested = False
        self.exit_status: int | None = None

    def request(self, exit_status: int = 130) -> None:
        """Request the stop, from any thread, callback or signal handler.

        ``exit_status``: that of ``Interrupted``; 130 as after Ctrl-C, 143 as after TERM.
        """
        self.requested, self.exit_status = True, exit_status

    def check(self) -> None:
        """Raise Interrupted if a stop was requested; called at points where finished work is saved."""
        if self.exit_status is not None:
            raise Interrupted(self.exit_status)


NEVER = Stop()  # for work that nobody stops
