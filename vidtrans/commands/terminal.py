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
        """Show the result: the text, or the table as JSON."""

    def text(self, text: str) -> None:
        """Show a text."""

    def figures(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table of numbers."""

    def failure(self, message: str, exit_status: int, table: Table | None = None) -> None:
        """Show an error."""

    def file_content(self, text: str) -> None:
        """Show the content of a file."""
