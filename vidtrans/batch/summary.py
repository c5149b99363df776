"""How each job of a batch went, and the file that says so."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vidtrans.batch.inputs import Item, parse_shard
from vidtrans.errors import UsageError
from vidtrans.files import read_small_json, write_json
from vidtrans.settings import Table

State = Literal["done", "failed", "pending"]
NAME = "vidtrans-batch"
SAVE_S = 2.0  # how often it is written while a batch runs
PLAIN = (int, float, str, bool, type(None))


@dataclass
class Outcome:
    """How an item went: what was reported of it, or why it failed."""

    item: Item
    state: State = "pending"
    table: Table = field(default_factory=dict)
    error: str = ""
    exit_status: int = 0

    def row(self) -> Table:
        """For the summary."""
        row: Table = {"source": str(self.item.source), "output": _text(self.item.output), "state": self.state}
        row |= {k: v for k, v in self.table.items() if k not in row and isinstance(v, PLAIN)}
        return row | ({"error": self.error, "exit_status": self.exit_status} if self.state == "failed" else {})


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


class Summary:
    """The file that says of each item how it went: ``vidtrans-batch.json``, of a part vidtrans-batch.2-of-8.json."""

    def __init__(self, folder: Path, command: str, shard: str) -> None:
        part = ".{}-of-{}".format(*parse_shard(shard)) if shard else ""
        self.path, self.command = folder / f"{NAME}{part}.json", command
        self._saved = 0.0

    def failed(self) -> set[Path]:
        """Return the sources that failed the last time. Raises UsageError where there was none."""
        try:
            rows = read_small_json(self.path)["items"]
            return {Path(row["source"]).resolve() for row in rows if row["state"] == "failed"}
        except (OSError, ValueError, KeyError, TypeError):
            why = "there is no summary of an earlier run"
            raise UsageError(f"--retry-failed: {self.path}", why, "leave it out") from None

    def refresh(self, outcomes: Sequence[Outcome]) -> None:
        """Write it every few seconds. One that cannot be written takes nothing along: the last one is what counts."""
        if time.monotonic() - self._saved >= SAVE_S:
            with suppress(OSError):
                self.save(outcomes)

    def save(self, outcomes: Sequence[Outcome]) -> None:
        self._saved = time.monotonic()
        rows = [outcome.row() for outcome in outcomes]
        counts = {state: sum(row["state"] == state for row in rows) for state in ("done", "failed", "pending")}
        write_json(self.path, {"command": self.command, **counts, "items": rows}, indent=1)
