"""The outcome of each job of a batch, and the summary file that lists them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vidtrans.batch.inputs import Item, parse_shard
from vidtrans.core.errors import UsageError
from vidtrans.core.files import read_small_json, write_json
from vidtrans.core.settings import Table

State = Literal["done", "failed", "pending"]
NAME = "vidtrans-batch"
SAVE_S = 2.0  # interval of writing the summary while a batch runs
UNREADABLE = (OSError, ValueError, KeyError, TypeError)  # errors if there is no complete summary
PLAIN = (int, float, str, bool, type(None))


@dataclass
class Outcome:
    """The outcome of an item: its result table, or an error."""

    item: Item
    state: State = "pending"
    table: Table = field(default_factory=dict)
    error: str = ""
    exit_status: int = 0

    def row(self) -> Table:
        """Return the item's row of the summary."""
        output = None if self.item.output is None else str(self.item.output)
        row: Table = {"source": str(self.item.source), "output": output, "state": self.state}
        row |= {k: v for k, v in self.table.items() if k not in row and isinstance(v, PLAIN)}
        return row | ({"error": self.error, "exit_status": self.exit_status} if self.state == "failed" else {})


def read_summaries(folder: Path) -> list[Table]:
    """Return the rows of all summaries in a folder, each with ``source``, ``state``, and ``error`` if failed."""
    rows: list[Table] = []
    for path in sorted(folder.glob(f"{NAME}*.json")):
        with suppress(*UNREADABLE):
            for row in _read_rows(path):
                needed = {"source", "state", *(["error"] if row["state"] == "failed" else [])}
                rows += [row] if needed <= row.keys() else []
    return rows


def _read_rows(path: Path) -> list[Table]:
    """Return the rows of a summary. Raises one of ``UNREADABLE``."""
    rows: list[Table] = read_small_json(path)["items"]
    return rows


class Summary:
    """The summary file: ``vidtrans-batch.json``, or for a shard ``vidtrans-batch.2-of-8.json``."""

    def __init__(self, folder: Path, command: str, shard: str) -> None:
        part = ".{}-of-{}".format(*parse_shard(shard)) if shard else ""
        self.path, self.command = folder / f"{NAME}{part}.json", command
        self._saved = 0.0

    def failed(self) -> set[Path]:
        """Return the sources that failed in the last run. Raises UsageError if that has left no readable summary."""
        try:
            rows = _read_rows(self.path)
            return {Path(row["source"]).resolve() for row in rows if row["state"] == "failed"}
        except UNREADABLE:
            why = "there is no summary of an earlier run"
            raise UsageError(f"--retry-failed: {self.path}", why, "leave out --retry-failed") from None

    def refresh(self, outcomes: Sequence[Outcome]) -> None:
        """Write the file every few seconds. Write errors are ignored here and raised by the final ``save``."""
        if time.monotonic() - self._saved >= SAVE_S:
            with suppress(OSError):
                self.save(outcomes)

    def save(self, outcomes: Sequence[Outcome]) -> None:
        """Write the file. Raises OSError."""
        self._saved = time.monotonic()
        rows = [outcome.row() for outcome in outcomes]
        counts = {state: sum(row["state"] == state for row in rows) for state in ("done", "failed", "pending")}
        write_json(self.path, {"command": self.command, **counts, "items": rows}, indent=1)
