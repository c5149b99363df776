"""``vidtrans cache list``: the entries of the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vidtrans.commands.base import Command
from vidtrans.core.settings import Table
from vidtrans.session import Context


@dataclass(frozen=True)
class CacheList(Command):
    """List the number and size of the entries of the cache, by stage."""

    CONTEXT: ClassVar = ("cache_dir",)

    def make(self, context: Context) -> Table:
        """Return the entries with their sizes."""
        rows: list[Table] = [
            {"stage": e.stage, "key": e.key, "bytes": e.size, "complete": (e.folder / "meta.json").is_file()}
            for e in context.cache.entries()
        ]
        return {"output": str(context.cache.root), "entries": rows}

    def describe(self, table: Table) -> str:
        """Return a line for each stage."""
        from vidtrans.store.stages import STAGES

        lines = []
        for name in STAGES:
            sizes = [row["bytes"] for row in table["entries"] if row["stage"] == name]
            noun = "entry  " if len(sizes) == 1 else "entries"
            lines.append(f"{name:8} {len(sizes):4} {noun} {sum(sizes) / 1e6:10.1f} MB   {STAGES[name].summary}")
        return "\n".join(lines)
