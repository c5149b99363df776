"""The interface through which commands show their reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vidtrans.core.settings import Table


class Terminal(Protocol):
    """The part of the console that commands use."""

    as_json: bool
    quiet: bool

    def result(self, table: Table, text: str) -> None:
        """Show the result of a successful command: ``text``, or with --json ``table``."""

    def text(self, text: str) -> None:
        """Show text that is itself the result."""

    def figures(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table of numbers above the result; not with --json or --quiet."""

    def failure(self, message: str, exit_status: int, table: Table | None = None) -> None:
        """Show the error of a failed command; with --json, ``table`` with the error and the exit status."""

    def file_content(self, text: str) -> None:
        """Show text to be redirected to a file: in UTF-8 with Unix line ends on all systems."""
