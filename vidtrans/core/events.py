"""What long jobs report while they run. The library calls back; the command line owns the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vidtrans.core.errors import Interrupted


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` units of ``task`` are finished; ``total`` is None where it is not known.

    ``counted``: the units are what a batch counts, frames of a render or steps of a training.
    """

    task: str
    done: int
    total: int | None
    unit: str = "frames"
    detail: str = ""
    counted: bool = False


@dataclass(frozen=True)
class Note:
    """Something that the user should know. ``level`` is 'info' or 'warning'.

    ``general``: it is about the whole command, and a batch reports it once, whichever items say it.
    """

    text: str
    level: str = "info"
    general: bool = False


@dataclass(frozen=True)
class BatchStatus:
    """Progress of a batch: ``done`` items of ``total``, of which ``failed`` did, and what each process does.

    ``units`` made so far, at ``rate`` a second; ``left_s`` is the estimated rest in seconds, None where unknown.
    ``nouns``: what items and units are called.
    """

    done: int
    failed: int
    total: int
    units: int
    rate: float
    left_s: float | None
    workers: tuple[tuple[str, Progress | None], ...]
    nouns: tuple[str, str] = ("clips", "frames")


Event = Progress | Note | BatchStatus
Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """A Report that drops everything."""


class Stop:
    """A flag that a signal handler raises and long loops look at between frames or steps.

    ``exit_status`` is 130 after Ctrl-C and 143 after TERM.
    """

    def __init__(self) -> None:
        self.requested = False
        self.exit_status: int | None = None

    def request(self, exit_status: int) -> None:
        """Ask the loops to stop."""
        self.requested, self.exit_status = True, exit_status

    def check(self) -> None:
        """Raise Interrupted if a stop was requested; called where what was done is saved."""
        if self.exit_status is not None:
            raise Interrupted(self.exit_status)


NEVER = Stop()  # for work that nobody stops
