"""``vidtrans cache``: list and delete entries of the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vidtrans.commands.base import Command
from vidtrans.core.options import Group, option
from vidtrans.core.settings import Table
from vidtrans.session import Context
from vidtrans.store.stages import STAGES


@dataclass(frozen=True)
class CacheList(Command):
    """List the number and the size of cache entries, by stage."""

    CONTEXT: ClassVar = ("cache_dir",)

    def make(self, context: Context) -> Table:
        """Return the stage, key, size in bytes and completeness of each cache entry."""
        rows: list[Table] = [
            {"stage": e.stage, "key": e.key, "bytes": e.size, "complete": (e.folder / "meta.json").is_file()}
            for e in context.cache.entries()
        ]
        return {"output": str(context.cache.root), "entries": rows}

    def describe(self, table: Table) -> str:
        """Return the number and total size of the entries of each stage, as text. ``table``: the result of ``make``."""
        lines = []
        for name in STAGES:
            sizes = [row["bytes"] for row in table["entries"] if row["stage"] == name]
            noun = "entry  " if len(sizes) == 1 else "entries"
            lines.append(f"{name:8} {len(sizes):4} {noun} {sum(sizes) / 1e6:10.1f} MB   {STAGES[name].summary}")
        return "\n".join(lines)


@dataclass(frozen=True)
class CacheClean(Command):
    """Delete entries of the cache. Results, datasets, models, and entries that a run uses are kept."""

    CONTEXT: ClassVar = ("cache_dir",)

    stage: tuple[str, ...] = option((), "Delete only this stage. Can be repeated.", Group.CACHE)

    def __post_init__(self) -> None:
        for name in self.stage:
            STAGES[name]  # Raises UsageError for an unknown stage.

    def make(self, context: Context) -> Table:
        """Delete cache entries; return the number and bytes of deleted entries, and the number kept because in use."""
        store = context.cache
        freed = deleted = in_use = 0
        if not self.stage:
            store.log.clear()
        for entry in store.entries():
            if self.stage and entry.stage not in self.stage:
                continue
            size = entry.size
            if entry.delete():
                freed, deleted = freed + size, deleted + 1
            else:
                in_use += 1
        return {"output": str(store.root), "deleted": deleted, "bytes": freed, "kept": in_use}

    def describe(self, table: Table) -> str:
        """Return the report on the deleted entries as text. ``table``: the result of ``make``."""
        busy = f", {table['kept']} in use were kept" if table["kept"] else ""
        entries = "1 entry" if table["deleted"] == 1 else f"{table['deleted']} entries"
        return f"{entries} deleted, {table['bytes'] / 1e6:.1f} MB freed{busy}"
