"""Options that several commands share, and checks of what is given together."""

from __future__ import annotations

from vidtrans.errors import UsageError
from vidtrans.parameters import FileName, Group, Option

START = Option("HH:MM:SS.mmm, 12.5s, or a frame number from 0.", Group.TIME, metavar="TIME")
END = Option("The first moment that is left out.", Group.TIME, metavar="TIME")


def output(help: str, default: str = "") -> Option:
    """Return ``-o``. ``default``: the usual name, in words."""
    return Option(help, Group.OUTPUT, ("-o", "--output"), default=default)


def models(help: str) -> Option:
    """Return ``--model`` of a command that takes several."""
    return Option(help, Group.INPUT, ("--model",), metavar="MODEL", values=FileName("model"))


def check_counts(**counts: int | None) -> None:
    """Raise UsageError where one is less than 1."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UsageError(f"--{name} {count}", "it must be at least 1", "give a larger number")
